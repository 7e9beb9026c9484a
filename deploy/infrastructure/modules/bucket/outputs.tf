output "name" {
  description = "Name of the bucket"
  value       = aws_s3_bucket.this.id
}

output "arn" {
  description = "ARN of the bucket"
  value       = aws_s3_bucket.this.arn
}

output "policy" {
  description = "Its policy, for tests"
  value       = data.aws_iam_policy_document.bucket.json
}
