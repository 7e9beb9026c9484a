# Log groups of other accounts (EKS control plane, RDS, what can't write to S3 by itself) into the landing bucket:
# destination → Firehose → S3.

variable "name" {
  description = "Name of destination and stream"
  type        = string
}

variable "region" {
  description = "Region of the log groups"
  type        = string
}

variable "workload_account_ids" {
  description = "Accounts that may subscribe"
  type        = list(string)
}

variable "bucket_arn" {
  description = "Landing bucket"
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the landing bucket"
  type        = string
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "firehose_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["firehose.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "firehose" {
  statement {
    sid       = "Write"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${var.bucket_arn}/cloudwatch/*", "${var.bucket_arn}/cloudwatch-errors/*"]
  }
  statement {
    sid       = "Look"
    actions   = ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
    resources = [var.bucket_arn]
  }
  statement {
    sid       = "Encrypt"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [var.kms_key_arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
  statement {
    sid       = "Report"
    actions   = ["logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.firehose.arn}:log-stream:*"]
  }
}

resource "aws_iam_role" "firehose" {
  name               = "${var.name}-firehose"
  assume_role_policy = data.aws_iam_policy_document.firehose_trust.json
}

resource "aws_iam_role_policy" "firehose" {
  name   = "write"
  role   = aws_iam_role.firehose.id
  policy = data.aws_iam_policy_document.firehose.json
}

resource "aws_cloudwatch_log_group" "firehose" {
  #checkov:skip=CKV_AWS_158:holds delivery errors of Firehose, no log contents
  name              = "/aws/kinesisfirehose/${var.name}"
  retention_in_days = 365
}

resource "aws_cloudwatch_log_stream" "firehose" {
  name           = "delivery"
  log_group_name = aws_cloudwatch_log_group.firehose.name
}

resource "aws_kinesis_firehose_delivery_stream" "this" {
  #checkov:skip=CKV_AWS_241:encrypted with the service's key while it is buffered (60 s); a CMK here costs a request a record
  name        = var.name
  destination = "extended_s3"

  server_side_encryption {
    enabled  = true
    key_type = "AWS_OWNED_CMK"
  }

  extended_s3_configuration {
    role_arn            = aws_iam_role.firehose.arn
    bucket_arn          = var.bucket_arn
    kms_key_arn         = var.kms_key_arn
    prefix              = "cloudwatch/"
    error_output_prefix = "cloudwatch-errors/"
    buffering_interval  = 60
    buffering_size      = 16
    # CloudWatch Logs sends gzip already; a second layer would only cost time.
    compression_format = "UNCOMPRESSED"
    cloudwatch_logging_options {
      enabled         = true
      log_group_name  = aws_cloudwatch_log_group.firehose.name
      log_stream_name = aws_cloudwatch_log_stream.firehose.name
    }
  }
  depends_on = [aws_iam_role_policy.firehose]
}

data "aws_iam_policy_document" "logs_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["logs.amazonaws.com"]
    }
    condition {
      test     = "StringLike"
      variable = "aws:SourceArn"
      values   = [for account in concat(var.workload_account_ids, [data.aws_caller_identity.current.account_id]) : "arn:aws:logs:${var.region}:${account}:*"]
    }
  }
}

data "aws_iam_policy_document" "logs" {
  statement {
    sid       = "Put"
    actions   = ["firehose:PutRecord", "firehose:PutRecordBatch"]
    resources = [aws_kinesis_firehose_delivery_stream.this.arn]
  }
}

resource "aws_iam_role" "logs" {
  name               = "${var.name}-logs"
  assume_role_policy = data.aws_iam_policy_document.logs_trust.json
}

resource "aws_iam_role_policy" "logs" {
  name   = "put"
  role   = aws_iam_role.logs.id
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_cloudwatch_log_destination" "this" {
  name       = var.name
  role_arn   = aws_iam_role.logs.arn
  target_arn = aws_kinesis_firehose_delivery_stream.this.arn
  depends_on = [aws_iam_role_policy.logs]
}

data "aws_iam_policy_document" "destination" {
  # Accounts by number and not by organization: with an organization each sender would need a role of its own.
  statement {
    sid       = "OurAccountsSubscribe"
    actions   = ["logs:PutSubscriptionFilter"]
    resources = [aws_cloudwatch_log_destination.this.arn]
    principals {
      type        = "AWS"
      identifiers = var.workload_account_ids
    }
  }
}

resource "aws_cloudwatch_log_destination_policy" "this" {
  destination_name = aws_cloudwatch_log_destination.this.name
  access_policy    = data.aws_iam_policy_document.destination.json
}

output "arn" {
  description = "What log groups subscribe to"
  value       = aws_cloudwatch_log_destination.this.arn
}
