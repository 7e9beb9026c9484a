# One workload account: its collectors' role, the flow logs of its VPC, its ways out, and its log groups.

variable "name" {
  description = "Name of the environment, such as prod"
  type        = string
}

variable "region" {
  description = "Region"
  type        = string
}

variable "organization_id" {
  description = "The organization"
  type        = string
}

variable "collector_role_name" {
  description = "Name of the collectors' role"
  type        = string
}

variable "service_account" {
  description = "Who takes it: on nodes logq-collector/logq-collector, on Fargate the application's own account"
  type        = object({ namespace = string, name = string })
  default     = { namespace = "logq-collector", name = "logq-collector" }
}

variable "cluster" {
  description = "The EKS cluster"
  type = object({
    name              = string
    oidc_provider_arn = optional(string)
    cluster_arn       = optional(string)
  })
}

variable "vpc" {
  description = "The VPC, its address range, private subnets and their route tables"
  type = object({
    id              = string
    cidr            = string
    subnet_ids      = list(string)
    route_table_ids = list(string)
  })
}

variable "bucket_arns" {
  description = "Output of the module storage"
  type        = map(string)
}

variable "inputs_key_arn" {
  description = "Key of the landing bucket"
  type        = string
}

variable "log_groups" {
  description = "Log groups that exist and are sent to the logging account"
  type        = set(string)
  default     = []
}

variable "destination_arn" {
  description = "Where to"
  type        = string
}

variable "reach_bucket_arns" {
  description = "Further buckets the VPC reaches, such as the lake where the processor runs here"
  type        = list(string)
  default     = []
}

variable "endpoint_services" {
  description = "Interface endpoints"
  type        = set(string)
  default     = ["logs", "sts", "ecr.api", "ecr.dkr"]
}

module "collector_role" {
  source             = "../collector_role"
  name               = var.collector_role_name
  region             = var.region
  cluster            = var.cluster.name
  landing_bucket_arn = var.bucket_arns.landing
  inputs_key_arn     = var.inputs_key_arn
  service_account = merge(var.service_account, {
    oidc_provider_arn = var.cluster.oidc_provider_arn
    cluster_arn       = var.cluster.cluster_arn
  })
}

module "flow_logs" {
  source     = "../flow_logs"
  vpc_id     = var.vpc.id
  bucket_arn = var.bucket_arns.landing
}

module "endpoints" {
  source          = "../endpoints"
  name            = "${var.name}-logq"
  region          = var.region
  organization_id = var.organization_id
  vpc             = var.vpc
  bucket_arns     = concat([var.bucket_arns.landing], var.reach_bucket_arns)
  services        = var.endpoint_services
}

module "log_subscription" {
  source          = "../log_subscription"
  log_groups      = var.log_groups
  destination_arn = var.destination_arn
}

output "collector_role_arn" {
  description = "For the annotation of the service account"
  value       = module.collector_role.arn
}

output "endpoints" {
  description = "Ids by service"
  value       = module.endpoints.ids
}
