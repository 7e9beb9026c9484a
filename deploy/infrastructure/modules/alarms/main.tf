# What AWS itself can see of the pipeline, and what it costs. The programs' own metrics are watched by Prometheus
# (deploy/kubernetes/components/monitoring-*).

variable "prefix" {
  description = "What the names begin with"
  type        = string
}

variable "queue_name" {
  description = "The processor's queue"
  type        = string
}

variable "dead_queue_name" {
  description = "Its dead-letter queue"
  type        = string
}

variable "email" {
  description = "Who is told"
  type        = string
}

variable "monthly_budget_usd" {
  description = "What the account may cost a month"
  type        = number
}

variable "firehose_name" {
  description = "Delivery stream of CloudWatch Logs; null when there is none"
  type        = string
  default     = null
}

data "aws_caller_identity" "current" {}

# A key of its own: alarms and EventBridge must be able to use it, and neither has business with the logs' keys.
data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key policy is about its own key; Resource "*" means this key and nothing else
  #checkov:skip=CKV_AWS_111:a key policy is about its own key; Resource "*" means this key and nothing else
  #checkov:skip=CKV_AWS_356:a key policy is about its own key; Resource "*" means this key and nothing else
  statement {
    sid       = "AccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
  statement {
    sid       = "AlarmsPublish"
    actions   = ["kms:GenerateDataKey*", "kms:Decrypt"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "Alarms of logq"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_sns_topic" "this" {
  name              = "${var.prefix}-alarms"
  kms_master_key_id = aws_kms_key.this.arn
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "AlarmsPublish"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "email" {
  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.email
}

locals {
  alarms = merge(
    {
      age = {
        namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", threshold = 900, statistic = "Maximum"
        dimensions  = { QueueName = var.queue_name }
        description = "The oldest object waits for 15 minutes: docs/operations.md, the queue grows"
      }
      dead = {
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", threshold = 0, statistic = "Maximum"
        dimensions  = { QueueName = var.dead_queue_name }
        description = "An object was given up after five attempts: docs/operations.md, the queue grows"
      }
    },
    var.firehose_name == null ? {} : {
      firehose = {
        namespace   = "AWS/Firehose", metric = "DeliveryToS3.DataFreshness", threshold = 900, statistic = "Maximum"
        dimensions  = { DeliveryStreamName = var.firehose_name }
        description = "Firehose holds log events for 15 minutes"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.prefix}-inputs-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}

# Somebody tries what the policies forbid: told at once, also when it was denied.
resource "aws_cloudwatch_event_rule" "tampering" {
  name        = "${var.prefix}-tampering"
  description = "Attempts on keys, locks and trails"
  event_pattern = jsonencode({
    "detail-type" = ["AWS API Call via CloudTrail"]
    detail = {
      eventName = [
        "ScheduleKeyDeletion", "DisableKey", "StopLogging", "DeleteTrail", "PutBucketObjectLockConfiguration",
        "DeleteBucketPolicy", "PutBucketPolicy", "DeleteBucket", "PutBucketVersioning", "PutBucketLifecycle", "PutKeyPolicy",
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "tampering" {
  rule      = aws_cloudwatch_event_rule.tampering.name
  target_id = "alarms"
  arn       = aws_sns_topic.this.arn
}

resource "aws_budgets_budget" "this" {
  name         = var.prefix
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  notification {
    comparison_operator        = "GREATER_THAN"
    threshold                  = 100
    threshold_type             = "PERCENTAGE"
    notification_type          = "FORECASTED"
    subscriber_email_addresses = [var.email]
  }
}

output "topic_arn" {
  description = "Topic of the alarms"
  value       = aws_sns_topic.this.arn
}
