variable "name" {
  description = "Name of the bucket"
  type        = string
}

variable "organization_id" {
  description = "The organization whose principals may come near it"
  type        = string
}

# Objects and not texts: whether there is a key is known while its ARN is not.
variable "kms_key" {
  description = "Key of its objects; null means SSE-S3, for the bucket of access logs alone"
  type        = object({ arn = string })
  default     = null
}

variable "lock_days" {
  description = "Object Lock: retention of every new object; 0 means no lock"
  type        = number
  default     = 0
  validation {
    condition     = var.lock_days >= 0 && var.lock_days <= 36500
    error_message = "lock_days is a number of days from 0 to 36500."
  }
}

variable "lock_mode" {
  description = "COMPLIANCE: nobody can shorten it. GOVERNANCE: the break-glass role can"
  type        = string
  default     = "COMPLIANCE"
  validation {
    condition     = contains(["COMPLIANCE", "GOVERNANCE"], var.lock_mode)
    error_message = "lock_mode is COMPLIANCE or GOVERNANCE."
  }
}

variable "expire_days" {
  description = "Objects are removed after so many days; null means never"
  type        = number
  default     = null
}

variable "noncurrent_days" {
  description = "Versions that were overwritten or deleted are removed after so many days"
  type        = number
  default     = 30
}

variable "access_log" {
  description = "Bucket that takes its access log; null for that bucket itself"
  type        = object({ bucket = string })
  default     = null
}

variable "policies" {
  description = "Policy documents (JSON) that allow something"
  type        = list(string)
  default     = []
}

variable "break_glass_role_arn" {
  description = "The only role that may change what is locked"
  type        = string
}
