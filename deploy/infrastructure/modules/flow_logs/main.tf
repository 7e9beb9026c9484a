# Flow logs of a VPC, straight to the landing bucket: all fields of versions 2 to 5, and why a packet was refused, in
# windows of one minute. Fields of ECS tasks (version 7) stay out: nothing here runs on ECS.

variable "vpc_id" {
  description = "The VPC"
  type        = string
}

variable "bucket_arn" {
  description = "Landing bucket of the logging account"
  type        = string
}

locals {
  fields = [
    # version 2
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes",
    "start", "end", "action", "log-status",
    # version 3
    "vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr",
    # version 4
    "region", "az-id", "sublocation-type", "sublocation-id",
    # version 5
    "pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path",
    # version 8: why a packet was refused, when encryption controls are on
    "reject-reason",
  ]
}

resource "aws_flow_log" "this" {
  vpc_id                   = var.vpc_id
  traffic_type             = "ALL"
  log_destination_type     = "s3"
  log_destination          = "${var.bucket_arn}/flow/"
  max_aggregation_interval = 60
  log_format               = join(" ", [for field in local.fields : "$${${field}}"])
  destination_options {
    file_format                = "plain-text"
    hive_compatible_partitions = false
    per_hour_partition         = true
  }
}

output "id" {
  description = "Id of the flow log"
  value       = aws_flow_log.this.id
}
