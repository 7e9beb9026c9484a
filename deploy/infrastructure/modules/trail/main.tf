# The organization's trail, in the management account: every account, every Region, digests for verification, and the
# data events of the buckets that hold evidence.

variable "name" {
  description = "Name of the trail"
  type        = string
}

variable "bucket" {
  description = "Bucket of the logging account"
  type        = string
}

variable "kms_key_arn" {
  description = "Key of its objects"
  type        = string
}

variable "watched_bucket_arns" {
  description = "Buckets in which deletions and changes of objects are events too"
  type        = list(string)
  default     = []
}

resource "aws_cloudtrail" "this" {
  #checkov:skip=CKV_AWS_252:the bucket notifies the processor's queue; a topic of the trail would be a second way for the same message
  #checkov:skip=CKV2_AWS_10:CloudWatch Logs would double the cost of the trail; the processor has events in the lake within minutes
  name                          = var.name
  s3_bucket_name                = var.bucket
  kms_key_id                    = var.kms_key_arn
  is_organization_trail         = true
  is_multi_region_trail         = true
  include_global_service_events = true
  enable_log_file_validation    = true
  enable_logging                = true

  advanced_event_selector {
    name = "Management events"
    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  dynamic "advanced_event_selector" {
    for_each = length(var.watched_bucket_arns) > 0 ? [var.watched_bucket_arns] : []
    content {
      name = "Objects of the evidence buckets"
      field_selector {
        field  = "eventCategory"
        equals = ["Data"]
      }
      # Deletions and changes of locks. Without PutObject: CloudTrail's own deliveries would be events that it delivers.
      field_selector {
        field  = "readOnly"
        equals = ["false"]
      }
      field_selector {
        field      = "eventName"
        not_equals = ["PutObject"]
      }
      field_selector {
        field  = "resources.type"
        equals = ["AWS::S3::Object"]
      }
      field_selector {
        field       = "resources.ARN"
        starts_with = [for arn in advanced_event_selector.value : "${arn}/"]
      }
    }
  }

  insight_selector {
    insight_type = "ApiCallRateInsight"
  }
  insight_selector {
    insight_type = "ApiErrorRateInsight"
  }
}

output "arn" {
  description = "ARN of the trail"
  value       = aws_cloudtrail.this.arn
}
