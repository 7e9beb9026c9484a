# Everything the logging account stores: what arrives (landing, trails), what is made of it (lake, archive), who touched
# it (access logs), the keys, and the queue that tells the processor.
#
# Two keys: workload accounts may encrypt with `inputs` and have no business with `lake`.

data "aws_caller_identity" "current" {}

locals {
  names     = { for purpose in ["landing", "trails", "lake", "archive", "access"] : purpose => "${var.prefix}-${purpose}" }
  arns      = { for purpose, name in local.names : purpose => "arn:aws:s3:::${name}" }
  trail_arn = "arn:aws:cloudtrail:${var.region}:${var.management_account_id}:trail/${var.trail_name}"
}

module "inputs_key" {
  source               = "../key"
  alias                = "${var.prefix}-inputs"
  description          = "Logs as they arrive: landing bucket, trail bucket, their queue"
  policies             = [data.aws_iam_policy_document.inputs_key.json]
  break_glass_role_arn = var.break_glass_role_arn
}

module "lake_key" {
  source               = "../key"
  alias                = "${var.prefix}-lake"
  description          = "Tables and archive"
  break_glass_role_arn = var.break_glass_role_arn
}

module "access" {
  source               = "../bucket"
  name                 = local.names.access
  organization_id      = var.organization_id
  expire_days          = 400
  policies             = [data.aws_iam_policy_document.access.json]
  break_glass_role_arn = var.break_glass_role_arn
}

# Inputs are in the lake after a minute and in the archive after two days; 30 days are time to take them in again.
module "landing" {
  source               = "../bucket"
  name                 = local.names.landing
  organization_id      = var.organization_id
  kms_key              = { arn = module.inputs_key.arn }
  expire_days          = 30
  noncurrent_days      = 30
  access_log           = { bucket = module.access.name }
  policies             = [data.aws_iam_policy_document.landing.json]
  break_glass_role_arn = var.break_glass_role_arn
}

module "trails" {
  source               = "../bucket"
  name                 = local.names.trails
  organization_id      = var.organization_id
  kms_key              = { arn = module.inputs_key.arn }
  lock_days            = var.trail_lock_days
  lock_mode            = var.lock_mode
  access_log           = { bucket = module.access.name }
  policies             = [data.aws_iam_policy_document.trails.json]
  break_glass_role_arn = var.break_glass_role_arn
}

module "lake" {
  source               = "../bucket"
  name                 = local.names.lake
  organization_id      = var.organization_id
  kms_key              = { arn = module.lake_key.arn }
  noncurrent_days      = 7
  access_log           = { bucket = module.access.name }
  break_glass_role_arn = var.break_glass_role_arn
}

module "archive" {
  source               = "../bucket"
  name                 = local.names.archive
  organization_id      = var.organization_id
  kms_key              = { arn = module.lake_key.arn }
  lock_days            = var.archive_lock_days
  lock_mode            = var.lock_mode
  access_log           = { bucket = module.access.name }
  break_glass_role_arn = var.break_glass_role_arn
}

module "queue" {
  source      = "../queue"
  name        = "${var.prefix}-inputs"
  kms_key_arn = module.inputs_key.arn
  buckets = {
    # Collectors write .jsonl.zst, flow logs and Firehose .gz: everything is an input.
    landing = { name = module.landing.name, suffix = "" }
    # Digests end in .json.gz as well: the processor knows them by their content.
    trails = { name = module.trails.name, suffix = ".json.gz" }
  }
}
