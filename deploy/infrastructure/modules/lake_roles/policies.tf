locals {
  inputs_via_s3 = { key = var.inputs_key_arn, service = "s3.${var.region}.amazonaws.com" }
  lake_via_s3   = { key = var.lake_key_arn, service = "s3.${var.region}.amazonaws.com" }
}

data "aws_iam_policy_document" "processor" {
  statement {
    sid       = "Queue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    resources = [var.queue_arn]
  }
  statement {
    sid       = "ReadInputs"
    actions   = ["s3:GetObject"]
    resources = ["${var.bucket_arns.landing}/*", "${var.bucket_arns.trails}/AWSLogs/*"]
  }
  statement {
    sid       = "ListInputs"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arns.landing, var.bucket_arns.trails]
  }
  statement {
    sid       = "Lake"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${var.bucket_arns.lake}/lake/*"]
  }
  statement {
    sid       = "ListLake"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arns.lake]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["lake", "lake/*"]
    }
  }
  # Claims are removed when they are old; nothing else ever is.
  statement {
    sid       = "OldClaims"
    actions   = ["s3:DeleteObject"]
    resources = ["${var.bucket_arns.lake}/lake/state/claims/*"]
  }
  statement {
    sid       = "DecryptInputs"
    actions   = ["kms:Decrypt"]
    resources = [local.inputs_via_s3.key]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.inputs_via_s3.service, "sqs.${var.region}.amazonaws.com"]
    }
  }
  statement {
    sid       = "EncryptLake"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [local.lake_via_s3.key]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.lake_via_s3.service]
    }
  }
}

data "aws_iam_policy_document" "maintenance" {
  statement {
    sid       = "ReadInputs"
    actions   = ["s3:GetObject"]
    resources = ["${var.bucket_arns.landing}/*", "${var.bucket_arns.trails}/AWSLogs/*"]
  }
  statement {
    sid       = "ListAll"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arns.landing, var.bucket_arns.trails, var.bucket_arns.lake, var.bucket_arns.archive]
  }
  # Vacuum deletes files of the lake; versioning keeps them for another week.
  statement {
    sid       = "Lake"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${var.bucket_arns.lake}/lake/*"]
  }
  # The archive grows and is read; retention may be set, Object Lock refuses to shorten it.
  statement {
    sid       = "Archive"
    actions   = ["s3:GetObject", "s3:GetObjectRetention", "s3:PutObject", "s3:PutObjectRetention", "s3:AbortMultipartUpload"]
    resources = ["${var.bucket_arns.archive}/archive/*"]
  }
  statement {
    sid = "LookAtRules"
    actions = [
      "s3:GetLifecycleConfiguration",
      "s3:GetBucketVersioning",
      "s3:GetBucketObjectLockConfiguration",
    ]
    resources = [var.bucket_arns.lake, var.bucket_arns.archive]
  }
  statement {
    sid       = "DecryptInputs"
    actions   = ["kms:Decrypt"]
    resources = [local.inputs_via_s3.key]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.inputs_via_s3.service]
    }
  }
  statement {
    sid       = "EncryptLake"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [local.lake_via_s3.key]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.lake_via_s3.service]
    }
  }
}

data "aws_iam_policy_document" "analyst" {
  for_each = var.analysts

  statement {
    sid     = "ReadTables"
    actions = ["s3:GetObject"]
    resources = flatten([
      for table in each.value.tables : concat(
        ["${var.bucket_arns.lake}/lake/${table}/_delta_log/*"],
        [for day in each.value.days : "${var.bucket_arns.lake}/lake/${table}/event_date=${day}/*"],
      )
    ])
  }
  statement {
    sid       = "ListTables"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arns.lake]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = flatten([for table in each.value.tables : ["lake/${table}/_delta_log/*", "lake/${table}/_delta_log"]])
    }
  }
  statement {
    sid       = "DecryptTables"
    actions   = ["kms:Decrypt"]
    resources = [local.lake_via_s3.key]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.lake_via_s3.service]
    }
  }
}

data "aws_iam_policy_document" "operator" {
  # Public keys that CloudTrail signs its digests with; the action has no resource.
  statement {
    sid       = "DigestKeys"
    actions   = ["cloudtrail:ListPublicKeys"]
    resources = ["*"]
  }
  statement {
    sid = "Rules"
    actions = [
      "s3:GetLifecycleConfiguration",
      "s3:PutLifecycleConfiguration",
      "s3:GetBucketVersioning",
      "s3:GetBucketObjectLockConfiguration",
    ]
    resources = [var.bucket_arns.lake, var.bucket_arns.archive]
  }
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [var.bucket_arns.lake, var.bucket_arns.archive]
  }
  statement {
    sid       = "Restore"
    actions   = ["s3:GetObject", "s3:GetObjectRetention", "s3:RestoreObject"]
    resources = ["${var.bucket_arns.archive}/archive/*"]
  }
  statement {
    sid       = "ReadLake"
    actions   = ["s3:GetObject"]
    resources = ["${var.bucket_arns.lake}/lake/*"]
  }
  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [local.lake_via_s3.key]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.lake_via_s3.service]
    }
  }
}
