# Sends log groups of this account to the destination in the logging account.

variable "log_groups" {
  description = "Names of log groups that exist, such as /aws/eks/prod/cluster"
  type        = set(string)
}

variable "destination_arn" {
  description = "Output `arn` of the module log_destination"
  type        = string
}

resource "aws_cloudwatch_log_subscription_filter" "this" {
  for_each        = var.log_groups
  name            = "logq"
  log_group_name  = each.value
  filter_pattern  = ""
  destination_arn = var.destination_arn
}
