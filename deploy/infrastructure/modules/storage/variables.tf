variable "prefix" {
  description = "What all names begin with; bucket names are unique in the world"
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,40}[a-z0-9]$", var.prefix))
    error_message = "prefix holds 3 to 42 small letters, digits and hyphens."
  }
}

variable "region" {
  description = "Region of everything"
  type        = string
}

variable "organization_id" {
  description = "The organization (o-…)"
  type        = string
}

variable "management_account_id" {
  description = "Account that owns the organization trail"
  type        = string
}

variable "trail_name" {
  description = "Name of the organization trail"
  type        = string
}

variable "workload_account_ids" {
  description = "Accounts whose collectors and flow logs may write"
  type        = list(string)
  validation {
    condition     = alltrue([for account in var.workload_account_ids : can(regex("^[0-9]{12}$", account))])
    error_message = "an account is twelve digits."
  }
}

variable "collector_role_name" {
  description = "Name of the collectors' role in every workload account"
  type        = string
}

variable "break_glass_role_arn" {
  description = "Role for emergencies: the only one that may touch keys and locks"
  type        = string
}

variable "lock_mode" {
  description = "Object Lock of trails and archive: COMPLIANCE, or GOVERNANCE while trying things out"
  type        = string
  default     = "COMPLIANCE"
}

variable "archive_lock_days" {
  description = "Retention of archived files: seven years by default, ten are 3653"
  type        = number
  default     = 2557
}

variable "trail_lock_days" {
  description = "Retention of CloudTrail's own files; their content is in the archive for longer"
  type        = number
  default     = 400
}
