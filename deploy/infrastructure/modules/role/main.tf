# A role that exactly one Kubernetes service account can take: through IRSA (the cluster's OIDC provider), through EKS Pod
# Identity, or both.

variable "name" {
  description = "Name of the role"
  type        = string
}

variable "description" {
  description = "What it is for"
  type        = string
}

variable "policy" {
  description = "What it may do (JSON)"
  type        = string
}

variable "service_account" {
  description = "The service account that takes it"
  type = object({
    namespace         = string
    name              = string
    oidc_provider_arn = optional(string)
    cluster_arn       = optional(string)
  })
  validation {
    condition     = var.service_account.oidc_provider_arn != null || var.service_account.cluster_arn != null
    error_message = "give oidc_provider_arn (IRSA), cluster_arn (Pod Identity) or both."
  }
}

variable "principal_arns" {
  description = "Roles of people that may take it as well"
  type        = list(string)
  default     = []
}

locals {
  issuer = var.service_account.oidc_provider_arn == null ? "" : join("/", slice(split("/", var.service_account.oidc_provider_arn), 1, length(split("/", var.service_account.oidc_provider_arn))))
}

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = var.service_account.oidc_provider_arn == null ? [] : [var.service_account.oidc_provider_arn]
    content {
      sid     = "Irsa"
      actions = ["sts:AssumeRoleWithWebIdentity"]
      principals {
        type        = "Federated"
        identifiers = [statement.value]
      }
      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:sub"
        values   = ["system:serviceaccount:${var.service_account.namespace}:${var.service_account.name}"]
      }
      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.service_account.cluster_arn == null ? [] : [var.service_account.cluster_arn]
    content {
      sid     = "PodIdentity"
      actions = ["sts:AssumeRole", "sts:TagSession"]
      principals {
        type        = "Service"
        identifiers = ["pods.eks.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:RequestTag/kubernetes-namespace"
        values   = [var.service_account.namespace]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:RequestTag/kubernetes-service-account"
        values   = [var.service_account.name]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [statement.value]
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.principal_arns) == 0 ? [] : [var.principal_arns]
    content {
      sid     = "People"
      actions = ["sts:AssumeRole"]
      principals {
        type        = "AWS"
        identifiers = distinct([for arn in statement.value : "arn:aws:iam::${split(":", arn)[4]}:root"])
      }
      condition {
        test     = "ArnLike"
        variable = "aws:PrincipalArn"
        values   = statement.value
      }
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = var.description
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "this" {
  name   = "work"
  role   = aws_iam_role.this.id
  policy = var.policy
}

# For Pod Identity the cluster has to know as well. Not on Fargate: there IRSA is the only way.
resource "aws_eks_pod_identity_association" "this" {
  count           = var.service_account.cluster_arn == null ? 0 : 1
  cluster_name    = split("/", var.service_account.cluster_arn)[1]
  namespace       = var.service_account.namespace
  service_account = var.service_account.name
  role_arn        = aws_iam_role.this.arn
}

output "arn" {
  description = "ARN of the role"
  value       = aws_iam_role.this.arn
}

output "trust" {
  description = "Its trust policy, for tests"
  value       = data.aws_iam_policy_document.trust.json
}

output "policy" {
  description = "Its policy, for tests"
  value       = var.policy
}
