variable "region" {
  description = "Region of everything"
  type        = string
}

variable "prefix" {
  description = "What all names begin with; bucket names are unique in the world"
  type        = string
}

variable "organization_id" {
  description = "The organization (o-…)"
  type        = string
}

variable "accounts" {
  description = "Account numbers by name"
  type        = map(string)
}

variable "deploy_role_name" {
  description = "Role that Terraform takes in each account"
  type        = string
  default     = "terraform"
}

variable "break_glass_role_name" {
  description = "Role for emergencies, the only one that may touch keys and locks"
  type        = string
  default     = "break-glass"
}

variable "guarded_unit_ids" {
  description = "Organizational units or accounts the service control policy is attached to"
  type        = set(string)
}

variable "alarm_email" {
  description = "Who is told of alarms"
  type        = string
}

variable "monthly_budget_usd" {
  description = "What logging may cost a month"
  type        = number
}

variable "lock_mode" {
  description = "COMPLIANCE, or GOVERNANCE while trying things out: with COMPLIANCE nobody gets rid of the buckets before their time"
  type        = string
  default     = "COMPLIANCE"
}

variable "analysts" {
  description = "As in the module lake_roles"
  type = map(object({
    tables         = list(string)
    days           = optional(list(string), ["*"])
    principal_arns = optional(list(string), [])
  }))
  default = {
    detect = { tables = ["cloudtrail", "vpc_flow", "app_log", "rejected", "ingest", "cloudtrail_digest", "replayed", "findings"] }
  }
}

variable "operator_principal_arns" {
  description = "Roles of people that may apply lifecycle rules and restore days"
  type        = list(string)
  default     = []
}

variable "workloads" {
  description = "By environment: cluster, VPC, log groups"
  type = map(object({
    cluster = object({
      name              = string
      oidc_provider_arn = optional(string)
      cluster_arn       = optional(string)
    })
    vpc = object({
      id              = string
      cidr            = string
      subnet_ids      = list(string)
      route_table_ids = list(string)
    })
    log_groups = optional(set(string), [])
  }))
}

variable "processor_cluster" {
  description = "The logging account's cluster that runs the processor"
  type = object({
    oidc_provider_arn = optional(string)
    cluster_arn       = optional(string)
  })
}
