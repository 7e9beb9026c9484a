output "arns" {
  description = "ARNs by role, for the annotations of the service accounts"
  value = merge(
    {
      processor   = module.processor.arn
      maintenance = module.maintenance.arn
      operator    = module.operator.arn
    },
    { for name, role in module.analyst : "analyst-${name}" => role.arn },
  )
}
