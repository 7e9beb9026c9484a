# The processor's queue: notifications of buckets in, a dead-letter queue behind.

variable "name" {
  description = "Name of the queue"
  type        = string
}

variable "kms_key_arn" {
  description = "Key of its messages; its policy must let s3.amazonaws.com use it"
  type        = string
}

variable "buckets" {
  description = "Buckets that notify it: name, and the end of the keys worth a message"
  type        = map(object({ name = string, suffix = string }))
}

data "aws_caller_identity" "current" {}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-dead"
  kms_master_key_id         = var.kms_key_arn
  message_retention_seconds = 1209600
}

# Visibility: the processor extends it while it works (visibility = 2m in processor.toml); this is the time after
# which another replica takes over from one that died.
resource "aws_sqs_queue" "this" {
  name                       = var.name
  kms_master_key_id          = var.kms_key_arn
  visibility_timeout_seconds = 120
  message_retention_seconds  = 1209600
  receive_wait_time_seconds  = 20
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this.arn]
  })
}

data "aws_iam_policy_document" "queue" {
  statement {
    sid       = "BucketsNotify"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.this.arn]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for bucket in var.buckets : "arn:aws:s3:::${bucket.name}"]
    }
  }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.this.arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.id
  policy    = data.aws_iam_policy_document.queue.json
}

resource "aws_s3_bucket_notification" "this" {
  for_each = var.buckets
  bucket   = each.value.name
  queue {
    id            = "inputs"
    queue_arn     = aws_sqs_queue.this.arn
    events        = ["s3:ObjectCreated:*"]
    filter_suffix = each.value.suffix
  }
  depends_on = [aws_sqs_queue_policy.this]
}

output "arn" {
  description = "ARN of the queue"
  value       = aws_sqs_queue.this.arn
}

output "url" {
  description = "Address of the queue, for the processor"
  value       = aws_sqs_queue.this.url
}

output "name" {
  description = "Name of the queue"
  value       = aws_sqs_queue.this.name
}

output "dead_name" {
  description = "Name of the dead-letter queue"
  value       = aws_sqs_queue.dead.name
}

output "policy" {
  description = "Its policy, for tests"
  value       = data.aws_iam_policy_document.queue.json
}
