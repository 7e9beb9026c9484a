# A service control policy: what nobody in a member account does to the logs, its administrators included. It has no
# effect on the management account.

variable "name" {
  description = "Name of the policy"
  type        = string
}

variable "target_ids" {
  description = "Organizational units or accounts it is attached to"
  type        = set(string)
}

variable "break_glass_role_name" {
  description = "The role that is exempt"
  type        = string
}

variable "deploy_role_name" {
  description = "The role of Terraform: it may configure the buckets, not empty them"
  type        = string
}

variable "bucket_arns" {
  description = "Buckets that hold evidence"
  type        = list(string)
}

data "aws_iam_policy_document" "this" {
  statement {
    sid    = "TrailsStay"
    effect = "Deny"
    actions = [
      "cloudtrail:StopLogging",
      "cloudtrail:DeleteTrail",
      "cloudtrail:UpdateTrail",
      "cloudtrail:PutEventSelectors",
      "ec2:DeleteFlowLogs",
      "guardduty:DeleteDetector",
      "guardduty:DisassociateFromAdministratorAccount",
      "config:StopConfigurationRecorder",
      "config:DeleteConfigurationRecorder",
    ]
    resources = ["*"]
    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::*:role/${var.break_glass_role_name}"]
    }
  }
  statement {
    sid    = "EvidenceStays"
    effect = "Deny"
    actions = [
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:BypassGovernanceRetention",
      "s3:DeleteObjectVersion",
    ]
    resources = concat(var.bucket_arns, [for arn in var.bucket_arns : "${arn}/*"])
    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::*:role/${var.break_glass_role_name}"]
    }
  }
  statement {
    sid    = "ProtectionStays"
    effect = "Deny"
    actions = [
      "s3:PutBucketPolicy",
      "s3:PutBucketVersioning",
      "s3:PutBucketObjectLockConfiguration",
      "s3:PutBucketPublicAccessBlock",
    ]
    resources = var.bucket_arns
    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values = [
        "arn:aws:iam::*:role/${var.break_glass_role_name}",
        "arn:aws:iam::*:role/${var.deploy_role_name}",
      ]
    }
  }
  statement {
    sid       = "KeysStay"
    effect    = "Deny"
    actions   = ["kms:ScheduleKeyDeletion", "kms:DisableKey"]
    resources = ["*"]
    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:aws:iam::*:role/${var.break_glass_role_name}"]
    }
  }
}

resource "aws_organizations_policy" "this" {
  name        = var.name
  description = "Logs and the keys they are encrypted with stay"
  type        = "SERVICE_CONTROL_POLICY"
  content     = data.aws_iam_policy_document.this.minified_json
}

resource "aws_organizations_policy_attachment" "this" {
  for_each  = var.target_ids
  policy_id = aws_organizations_policy.this.id
  target_id = each.value
}

output "policy" {
  description = "The policy, for tests"
  value       = data.aws_iam_policy_document.this.json
}
