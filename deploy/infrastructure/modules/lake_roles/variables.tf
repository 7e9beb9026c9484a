variable "prefix" {
  description = "What the names of the roles begin with"
  type        = string
}

variable "region" {
  description = "Region"
  type        = string
}

variable "cluster" {
  description = "The cluster that runs the processor: IRSA, Pod Identity or both"
  type = object({
    oidc_provider_arn = optional(string)
    cluster_arn       = optional(string)
  })
}

variable "bucket_arns" {
  description = "Output of the module storage"
  type        = map(string)
}

variable "queue_arn" {
  description = "The processor's queue"
  type        = string
}

variable "inputs_key_arn" {
  description = "Key of what arrives"
  type        = string
}

variable "lake_key_arn" {
  description = "Key of tables and archive"
  type        = string
}

variable "analysts" {
  description = "Who reads what: tables, days as patterns of event_date (\"2026-*\"), and roles of people that may take the role"
  type = map(object({
    tables         = list(string)
    days           = optional(list(string), ["*"])
    principal_arns = optional(list(string), [])
  }))
  default = {
    detect = { tables = ["cloudtrail", "vpc_flow", "app_log", "rejected", "ingest", "cloudtrail_digest", "replayed", "findings"] }
  }
  validation {
    condition     = alltrue([for analyst in values(var.analysts) : length(analyst.tables) > 0 && length(analyst.days) > 0])
    error_message = "an analyst reads at least one table and one day."
  }
}

variable "operator_principal_arns" {
  description = "Roles of people that may take the operator's role"
  type        = list(string)
  default     = []
}
