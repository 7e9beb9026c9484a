# The lake's tables for Athena, Redshift Spectrum and EMR. Athena reads columns, files and partitions from the Delta log
# itself (`table_type = DELTA`, engine 3): no crawler, no partition to add. The columns here are for people and grants; they
# come from the schemas of this repository.

variable "database" {
  description = "Name of the Glue database"
  type        = string
}

variable "lake_url" {
  description = "s3://bucket/lake"
  type        = string
}

variable "results_bucket" {
  description = "Bucket of query results; null leaves the work group out"
  type        = string
  default     = null
}

variable "lake_key_arn" {
  description = "Key of the results"
  type        = string
}

locals {
  golden = "${path.module}/../../../../schemas/golden"
  # cloudtrail.v1.json, app_log.v2.json: the newest version of each table.
  files    = fileset(local.golden, "*.json")
  versions = { for file in local.files : split(".", file)[0] => tonumber(trimprefix(split(".", file)[1], "v"))... }
  tables   = { for table, versions in local.versions : table => jsondecode(file("${local.golden}/${table}.v${max(versions...)}.json")) }
  types    = { text = "string", json = "string", timestamp = "timestamp", date = "date", long = "bigint", int = "int", bool = "boolean", binary = "binary", double = "double" }
}

resource "aws_glue_catalog_database" "this" {
  name         = var.database
  description  = "Security logs (logq)"
  location_uri = var.lake_url
}

resource "aws_glue_catalog_table" "this" {
  for_each      = local.tables
  name          = each.key
  database_name = aws_glue_catalog_database.this.name
  table_type    = "EXTERNAL_TABLE"
  parameters = {
    EXTERNAL                      = "TRUE"
    table_type                    = "DELTA"
    "spark.sql.sources.provider"  = "delta"
    "spark.sql.partitionProvider" = "catalog"
    "logq.schema.version"         = tostring(max(local.versions[each.key]...))
  }
  storage_descriptor {
    location      = "${var.lake_url}/${each.key}/"
    input_format  = "org.apache.hadoop.mapred.SequenceFileInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat"
    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
      parameters            = { "serialization.format" = "1", "path" = "${var.lake_url}/${each.key}/" }
    }
    dynamic "columns" {
      for_each = each.value.columns
      content {
        name = columns.value.name
        type = local.types[columns.value.type]
      }
    }
  }
}

resource "aws_athena_workgroup" "this" {
  count         = var.results_bucket == null ? 0 : 1
  name          = var.database
  description   = "Bounded queries over the lake"
  force_destroy = false
  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    # A mistake costs at most half a dollar.
    bytes_scanned_cutoff_per_query = 107374182400
    engine_version {
      selected_engine_version = "Athena engine version 3"
    }
    result_configuration {
      output_location = "s3://${var.results_bucket}/athena/"
      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.lake_key_arn
      }
    }
  }
}

output "tables" {
  description = "Names of the tables"
  value       = keys(aws_glue_catalog_table.this)
}
