# Ways out of a VPC without internet: S3 through the gateway (free), the other services through interfaces. Policies
# admit this organization's principals and, for S3, only buckets that are needed: a stolen key can't be used to carry
# data to somebody else's bucket.

variable "name" {
  description = "What the endpoints are named after"
  type        = string
}

variable "region" {
  description = "Region"
  type        = string
}

variable "organization_id" {
  description = "The organization"
  type        = string
}

variable "vpc" {
  description = "The VPC, its address range, private subnets and their route tables"
  type = object({
    id              = string
    cidr            = string
    subnet_ids      = list(string)
    route_table_ids = list(string)
  })
}

variable "bucket_arns" {
  description = "Buckets this VPC reaches"
  type        = list(string)
}

variable "services" {
  description = "Interfaces: logs, sts, ecr.api, ecr.dkr; with a processor also sqs and kms"
  type        = set(string)
  default     = ["logs", "sts", "ecr.api", "ecr.dkr"]
}

data "aws_iam_policy_document" "s3" {
  #checkov:skip=CKV_AWS_283:an endpoint policy only narrows what identities may; who is asked by the condition, which the check does not read
  statement {
    sid       = "OwnBuckets"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket", "s3:GetBucketLocation", "s3:PutObjectRetention", "s3:GetObjectRetention", "s3:RestoreObject", "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"]
    resources = concat(var.bucket_arns, [for arn in var.bucket_arns : "${arn}/*"])
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalOrgID"
      values   = [var.organization_id]
    }
  }
  # Layers of images lie in a bucket of ECR; they are fetched with presigned requests of ECR's own principal.
  statement {
    sid       = "ImageLayers"
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::prod-${var.region}-starport-layer-bucket/*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

data "aws_iam_policy_document" "interface" {
  for_each = var.services
  statement {
    sid       = "OwnOrganization"
    actions   = ["${split(".", each.value)[0]}:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalOrgID"
      values   = [var.organization_id]
    }
  }
  # A pod has no principal yet when it asks for its first credentials; the role's trust policy decides.
  dynamic "statement" {
    for_each = each.value == "sts" ? ["sts"] : []
    content {
      sid       = "FirstCredentials"
      actions   = ["sts:AssumeRoleWithWebIdentity"]
      resources = ["*"]
      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
    }
  }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = var.vpc.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.vpc.route_table_ids
  policy            = data.aws_iam_policy_document.s3.json
  tags              = { Name = "${var.name}-s3" }
}

resource "aws_security_group" "interfaces" {
  name        = "${var.name}-endpoints"
  description = "HTTPS from the VPC to its interface endpoints"
  vpc_id      = var.vpc.id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  security_group_id = aws_security_group.interfaces.id
  description       = "HTTPS from the VPC"
  cidr_ipv4         = var.vpc.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = var.services
  vpc_id              = var.vpc.id
  service_name        = "com.amazonaws.${var.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = var.vpc.subnet_ids
  security_group_ids  = [aws_security_group.interfaces.id]
  policy              = data.aws_iam_policy_document.interface[each.value].json
  tags                = { Name = "${var.name}-${each.value}" }
}

output "ids" {
  description = "Ids by service"
  value       = merge({ s3 = aws_vpc_endpoint.s3.id }, { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id })
}
