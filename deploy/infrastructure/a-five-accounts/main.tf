# Architecture A: five accounts. The management account owns the trail and the guardrails, the logging account all
# data and the processor, dev, staging and prod run EKS on EC2 nodes with a collector on each.

locals {
  tags                 = { application = "logq", owner = "security" }
  trail_name           = "${var.prefix}-organization"
  collector_role_name  = "${var.prefix}-collector"
  workload_account_ids = [var.accounts.dev, var.accounts.staging, var.accounts.prod]
  break_glass_role_arn = "arn:aws:iam::${var.accounts.logging}:role/${var.break_glass_role_name}"
}

module "storage" {
  source                = "../modules/storage"
  providers             = { aws = aws.logging }
  prefix                = var.prefix
  region                = var.region
  organization_id       = var.organization_id
  management_account_id = var.accounts.management
  trail_name            = local.trail_name
  workload_account_ids  = local.workload_account_ids
  collector_role_name   = local.collector_role_name
  break_glass_role_arn  = local.break_glass_role_arn
  lock_mode             = var.lock_mode
}

module "trail" {
  source              = "../modules/trail"
  providers           = { aws = aws.management }
  name                = local.trail_name
  bucket              = module.storage.buckets.trails
  kms_key_arn         = module.storage.inputs_key_arn
  watched_bucket_arns = [module.storage.bucket_arns.trails, module.storage.bucket_arns.archive]
}

module "guardrails" {
  source                = "../modules/guardrails"
  providers             = { aws = aws.management }
  name                  = "${var.prefix}-guardrails"
  target_ids            = var.guarded_unit_ids
  break_glass_role_name = var.break_glass_role_name
  deploy_role_name      = var.deploy_role_name
  bucket_arns           = values(module.storage.bucket_arns)
}

module "log_destination" {
  source               = "../modules/log_destination"
  providers            = { aws = aws.logging }
  name                 = "${var.prefix}-cloudwatch"
  region               = var.region
  workload_account_ids = local.workload_account_ids
  bucket_arn           = module.storage.bucket_arns.landing
  kms_key_arn          = module.storage.inputs_key_arn
}

module "lake_roles" {
  source                  = "../modules/lake_roles"
  providers               = { aws = aws.logging }
  prefix                  = var.prefix
  region                  = var.region
  cluster                 = var.processor_cluster
  bucket_arns             = module.storage.bucket_arns
  queue_arn               = module.storage.queue.arn
  inputs_key_arn          = module.storage.inputs_key_arn
  lake_key_arn            = module.storage.lake_key_arn
  analysts                = var.analysts
  operator_principal_arns = var.operator_principal_arns
}

module "catalog" {
  source       = "../modules/catalog"
  providers    = { aws = aws.logging }
  database     = replace(var.prefix, "-", "_")
  lake_url     = "s3://${module.storage.buckets.lake}/lake"
  lake_key_arn = module.storage.lake_key_arn
}

module "alarms" {
  source             = "../modules/alarms"
  providers          = { aws = aws.logging }
  prefix             = var.prefix
  queue_name         = module.storage.queue.name
  dead_queue_name    = module.storage.queue.dead_name
  firehose_name      = "${var.prefix}-cloudwatch"
  email              = var.alarm_email
  monthly_budget_usd = var.monthly_budget_usd
}

module "dev" {
  source              = "../modules/workload"
  providers           = { aws = aws.dev }
  name                = "dev"
  region              = var.region
  organization_id     = var.organization_id
  collector_role_name = local.collector_role_name
  cluster             = var.workloads["dev"].cluster
  vpc                 = var.workloads["dev"].vpc
  log_groups          = var.workloads["dev"].log_groups
  bucket_arns         = module.storage.bucket_arns
  inputs_key_arn      = module.storage.inputs_key_arn
  destination_arn     = module.log_destination.arn
}

module "staging" {
  source              = "../modules/workload"
  providers           = { aws = aws.staging }
  name                = "staging"
  region              = var.region
  organization_id     = var.organization_id
  collector_role_name = local.collector_role_name
  cluster             = var.workloads["staging"].cluster
  vpc                 = var.workloads["staging"].vpc
  log_groups          = var.workloads["staging"].log_groups
  bucket_arns         = module.storage.bucket_arns
  inputs_key_arn      = module.storage.inputs_key_arn
  destination_arn     = module.log_destination.arn
}

module "prod" {
  source              = "../modules/workload"
  providers           = { aws = aws.prod }
  name                = "prod"
  region              = var.region
  organization_id     = var.organization_id
  collector_role_name = local.collector_role_name
  cluster             = var.workloads["prod"].cluster
  vpc                 = var.workloads["prod"].vpc
  log_groups          = var.workloads["prod"].log_groups
  bucket_arns         = module.storage.bucket_arns
  inputs_key_arn      = module.storage.inputs_key_arn
  destination_arn     = module.log_destination.arn
}
