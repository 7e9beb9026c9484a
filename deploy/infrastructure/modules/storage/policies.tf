# Who may write what from outside the account. Everything else is in the bucket module or in the roles.

data "aws_iam_policy_document" "inputs_key" {
  statement {
    sid       = "TrailEncrypts"
    actions   = ["kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["cloudtrail.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [local.trail_arn]
    }
  }

  statement {
    sid       = "FlowLogsEncrypt"
    actions   = ["kms:GenerateDataKey*", "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = var.workload_account_ids
    }
  }

  statement {
    sid       = "NotificationsEncrypt"
    actions   = ["kms:GenerateDataKey*", "kms:Decrypt"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }

  # Through S3 and for the landing bucket only: with bucket keys the context is the bucket's ARN. Decrypt is what S3 asks for
  # when an upload has several parts.
  statement {
    sid       = "CollectorsEncrypt"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = [for account in var.workload_account_ids : "arn:aws:iam::${account}:root"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::*:role/${var.collector_role_name}"]
    }
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [local.arns.landing]
    }
  }
}

data "aws_iam_policy_document" "landing" {
  # The number of the caller's account is part of the key: no account can write as another.
  statement {
    sid       = "CollectorsWriteBelowTheirAccount"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.arns.landing}/$${aws:PrincipalAccount}/landing/app/*"]
    principals {
      type        = "AWS"
      identifiers = [for account in var.workload_account_ids : "arn:aws:iam::${account}:root"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::*:role/${var.collector_role_name}"]
    }
  }

  statement {
    sid       = "FlowLogsWrite"
    actions   = ["s3:PutObject"]
    resources = [for account in var.workload_account_ids : "${local.arns.landing}/flow/AWSLogs/${account}/*"]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = var.workload_account_ids
    }
    condition {
      test     = "StringEquals"
      variable = "s3:x-amz-acl"
      values   = ["bucket-owner-full-control"]
    }
  }

  statement {
    sid       = "FlowLogsLook"
    actions   = ["s3:GetBucketAcl"]
    resources = [local.arns.landing]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = var.workload_account_ids
    }
  }
}

data "aws_iam_policy_document" "trails" {
  statement {
    sid     = "TrailWrites"
    actions = ["s3:PutObject"]
    resources = [
      "${local.arns.trails}/AWSLogs/${var.organization_id}/*",
      "${local.arns.trails}/AWSLogs/${var.management_account_id}/*",
    ]
    principals {
      type        = "Service"
      identifiers = ["cloudtrail.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [local.trail_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "s3:x-amz-acl"
      values   = ["bucket-owner-full-control"]
    }
  }

  statement {
    sid       = "TrailLooks"
    actions   = ["s3:GetBucketAcl"]
    resources = [local.arns.trails]
    principals {
      type        = "Service"
      identifiers = ["cloudtrail.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [local.trail_arn]
    }
  }
}

data "aws_iam_policy_document" "access" {
  statement {
    sid       = "BucketsLogTheirAccess"
    actions   = ["s3:PutObject"]
    resources = ["${local.arns.access}/*"]
    principals {
      type        = "Service"
      identifiers = ["logging.s3.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.arns.landing, local.arns.trails, local.arns.lake, local.arns.archive]
    }
  }
}
