# The catalogue says what the schemas of the repository say.

mock_provider "aws" {}

variables {
  database     = "acme_logq"
  lake_url     = "s3://acme-logq-lake/lake"
  lake_key_arn = "arn:aws:kms:eu-west-1:222222222222:key/2"
}

run "tables" {
  command = plan
  assert {
    condition     = length(setsubtract(["cloudtrail", "vpc_flow", "app_log", "rejected", "ingest", "findings"], keys(aws_glue_catalog_table.this))) == 0
    error_message = "a table of the lake is missing"
  }
  assert {
    condition     = alltrue([for table in values(aws_glue_catalog_table.this) : table.parameters["table_type"] == "DELTA"])
    error_message = "Athena reads the Delta log only of tables that say so"
  }
  assert {
    condition     = one([for c in aws_glue_catalog_table.this["cloudtrail"].storage_descriptor[0].columns : c.type if c.name == "account_id"]) == "string"
    error_message = "accounts are text: leading zeros"
  }
  assert {
    condition     = length(aws_athena_workgroup.this) == 0
    error_message = "without a bucket for results there is no work group"
  }
}

run "work_group" {
  command = plan
  variables {
    results_bucket = "acme-athena"
  }
  assert {
    condition     = aws_athena_workgroup.this[0].configuration[0].enforce_workgroup_configuration
    error_message = "a client must not choose another place for results"
  }
}
