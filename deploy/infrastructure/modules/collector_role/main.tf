# What a collector may do: put objects below its account and cluster, and write log events below one prefix of
# names. It can't read, list or delete anything it wrote.

variable "name" {
  description = "Name of the role; the landing bucket's policy names it"
  type        = string
}

variable "region" {
  description = "Region"
  type        = string
}

variable "cluster" {
  description = "Name of the cluster: part of every key"
  type        = string
}

variable "service_account" {
  description = "As in the module role"
  type = object({
    namespace         = string
    name              = string
    oidc_provider_arn = optional(string)
    cluster_arn       = optional(string)
  })
}

variable "landing_bucket_arn" {
  description = "Landing bucket of the logging account"
  type        = string
}

variable "inputs_key_arn" {
  description = "Its key"
  type        = string
}

variable "log_group_prefix" {
  description = "Log groups for the sink aws_cloudwatch_logs; null when it is not used"
  type        = string
  default     = "/k8s/"
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "Land"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${var.landing_bucket_arn}/${data.aws_caller_identity.current.account_id}/landing/app/${var.cluster}/*"]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.inputs_key_arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }

  dynamic "statement" {
    for_each = var.log_group_prefix == null ? [] : [var.log_group_prefix]
    content {
      sid       = "Log"
      actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:PutRetentionPolicy"]
      resources = ["arn:aws:logs:${var.region}:${data.aws_caller_identity.current.account_id}:log-group:${statement.value}*"]
    }
  }

  dynamic "statement" {
    for_each = var.log_group_prefix == null ? [] : [var.log_group_prefix]
    content {
      sid       = "LookForLogGroups"
      actions   = ["logs:DescribeLogGroups"]
      resources = ["arn:aws:logs:${var.region}:${data.aws_caller_identity.current.account_id}:log-group:*"]
    }
  }
}

module "role" {
  source          = "../role"
  name            = var.name
  description     = "logq-collector: puts landing objects and log events"
  policy          = data.aws_iam_policy_document.this.json
  service_account = var.service_account
}

output "arn" {
  description = "For the annotation of the service account"
  value       = module.role.arn
}
