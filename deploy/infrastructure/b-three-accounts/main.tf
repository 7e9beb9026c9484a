# Architecture B: three accounts. The management account owns the trail and all data, dev and prod run EKS on
# Fargate with the collector as a sidecar; the processor runs in prod's cluster and takes its role in the management account.
#
# Service control policies have no effect on the management account: there the bucket and key policies alone protect the
# evidence (docs/security.md).

locals {
  tags                 = { application = "logq", owner = "security" }
  trail_name           = "${var.prefix}-organization"
  collector_role_name  = "${var.prefix}-collector"
  workload_account_ids = [var.accounts.dev, var.accounts.prod]
  break_glass_role_arn = "arn:aws:iam::${var.accounts.management}:role/${var.break_glass_role_name}"
}

# The management account trusts prod's cluster, so that the processor's service account can take a role here directly.
resource "aws_iam_openid_connect_provider" "prod" {
  provider       = aws.management
  url            = "https://${join("/", slice(split("/", var.workloads["prod"].cluster.oidc_provider_arn), 1, length(split("/", var.workloads["prod"].cluster.oidc_provider_arn))))}"
  client_id_list = ["sts.amazonaws.com"]
}

module "storage" {
  source                = "../modules/storage"
  providers             = { aws = aws.management }
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
  providers            = { aws = aws.management }
  name                 = "${var.prefix}-cloudwatch"
  region               = var.region
  workload_account_ids = local.workload_account_ids
  bucket_arn           = module.storage.bucket_arns.landing
  kms_key_arn          = module.storage.inputs_key_arn
}

module "lake_roles" {
  source                  = "../modules/lake_roles"
  providers               = { aws = aws.management }
  prefix                  = var.prefix
  region                  = var.region
  cluster                 = { oidc_provider_arn = aws_iam_openid_connect_provider.prod.arn }
  bucket_arns             = module.storage.bucket_arns
  queue_arn               = module.storage.queue.arn
  inputs_key_arn          = module.storage.inputs_key_arn
  lake_key_arn            = module.storage.lake_key_arn
  analysts                = var.analysts
  operator_principal_arns = var.operator_principal_arns
}

module "catalog" {
  source       = "../modules/catalog"
  providers    = { aws = aws.management }
  database     = replace(var.prefix, "-", "_")
  lake_url     = "s3://${module.storage.buckets.lake}/lake"
  lake_key_arn = module.storage.lake_key_arn
}

module "alarms" {
  source             = "../modules/alarms"
  providers          = { aws = aws.management }
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
  service_account     = var.fargate_service_account
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
  service_account     = var.fargate_service_account
  # The processor runs in this account: its VPC reaches the buckets, the queue and the keys.
  reach_bucket_arns = [
    module.storage.bucket_arns.trails,
    module.storage.bucket_arns.lake,
    module.storage.bucket_arns.archive,
  ]
  endpoint_services = ["logs", "sts", "ecr.api", "ecr.dkr", "sqs"]
}
