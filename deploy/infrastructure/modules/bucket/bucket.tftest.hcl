# What a locked and an open bucket promise, whoever calls the module.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
    }
  }
}

variables {
  name                 = "acme-logq-archive"
  organization_id      = "o-1234567890"
  kms_key              = { arn = "arn:aws:kms:eu-west-1:222222222222:key/1" }
  break_glass_role_arn = "arn:aws:iam::222222222222:role/break-glass"
}

run "locked" {
  command = plan
  variables {
    lock_days = 2557
  }
  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled
    error_message = "Object Lock can only be switched on when the bucket is made"
  }
  assert {
    condition     = aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].mode == "COMPLIANCE"
    error_message = "retention that nobody can shorten is the default"
  }
  assert {
    condition     = length([for s in data.aws_iam_policy_document.bucket.statement : s if s.sid == "Immutable" && s.effect == "Deny"]) == 1
    error_message = "a locked bucket denies deletion"
  }
}

run "open" {
  command = plan
  assert {
    condition     = length(aws_s3_bucket_object_lock_configuration.this) == 0
    error_message = "no lock was asked for"
  }
  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "no bucket is public"
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    error_message = "bucket keys keep KMS cheap"
  }
}

run "negative_retention" {
  command = plan
  variables {
    lock_days = -1
  }
  expect_failures = [var.lock_days]
}

run "unknown_mode" {
  command = plan
  variables {
    lock_mode = "FOREVER"
  }
  expect_failures = [var.lock_mode]
}
