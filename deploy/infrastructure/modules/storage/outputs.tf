output "buckets" {
  description = "Names by purpose"
  value = {
    landing = module.landing.name
    trails  = module.trails.name
    lake    = module.lake.name
    archive = module.archive.name
    access  = module.access.name
  }
}

output "bucket_arns" {
  description = "ARNs by purpose"
  value = {
    landing = module.landing.arn
    trails  = module.trails.arn
    lake    = module.lake.arn
    archive = module.archive.arn
    access  = module.access.arn
  }
}

output "inputs_key_arn" {
  description = "Key of what arrives"
  value       = module.inputs_key.arn
}

output "lake_key_arn" {
  description = "Key of tables and archive"
  value       = module.lake_key.arn
}

output "queue" {
  description = "The processor's queue"
  value = {
    arn       = module.queue.arn
    url       = module.queue.url
    name      = module.queue.name
    dead_name = module.queue.dead_name
  }
}
