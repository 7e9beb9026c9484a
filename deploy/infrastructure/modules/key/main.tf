# A KMS key that only its own account administers. Who may use it is said by `policies`: documents of statements
# that the caller writes, for services and for other accounts.

variable "alias" {
  description = "Name of the key, without `alias/`"
  type        = string
}

variable "description" {
  description = "What is encrypted with it"
  type        = string
}

variable "policies" {
  description = "Policy documents (JSON) added to the administration of the account"
  type        = list(string)
  default     = []
}

variable "break_glass_role_arn" {
  description = "The only role that may disable the key or schedule its deletion"
  type        = string
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key policy is about its own key; Resource "*" means this key and nothing else
  #checkov:skip=CKV_AWS_111:a key policy is about its own key; Resource "*" means this key and nothing else
  #checkov:skip=CKV_AWS_356:a key policy is about its own key; Resource "*" means this key and nothing else
  source_policy_documents = var.policies

  # Without this statement IAM policies have no effect on the key, and nobody could change this policy again.
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
    sid       = "NobodyDestroys"
    effect    = "Deny"
    actions   = ["kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DeleteImportedKeyMaterial", "kms:DisableKeyRotation"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [var.break_glass_role_arn]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = var.description
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.alias}"
  target_key_id = aws_kms_key.this.key_id
}

output "arn" {
  description = "ARN of the key"
  value       = aws_kms_key.this.arn
}
