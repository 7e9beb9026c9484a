output "buckets" {
  description = "For the overlays: LANDING_BUCKET, LOGQ_LAKE, LOGQ_ARCHIVE"
  value       = module.storage.buckets
}

output "queue_url" {
  description = "For the overlay `logging`: QUEUE_URL"
  value       = module.storage.queue.url
}

output "role_arns" {
  description = "For the annotations of the service accounts of the processor's cluster"
  value       = module.lake_roles.arns
}

output "collector_role_arns" {
  description = "For the annotations of the collectors' service accounts"
  value = {
    dev  = module.dev.collector_role_arn
    prod = module.prod.collector_role_arn
  }
}

output "endpoints" {
  description = "VPC endpoints by environment and service"
  value = {
    dev  = module.dev.endpoints
    prod = module.prod.endpoints
  }
}
