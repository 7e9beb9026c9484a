# The roles of the logging account. None can do what another one is for:
#
# | role        | reads                     | writes                     | deletes               |
# |-------------|---------------------------|----------------------------|-----------------------|
# | processor   | queue, inputs, lake       | lake                       | its own old claims    |
# | maintenance | inputs, lake, archive     | lake, archive              | files of the lake     |
# | analyst     | lake, by table and day    | nothing                    | nothing               |
# | operator    | lake, archive, rules      | lifecycle rules, restores  | nothing               |
#
# Policies are in policies.tf, one document a role.

module "processor" {
  source          = "../role"
  name            = "${var.prefix}-processor"
  description     = "logq-processor run: takes objects in"
  policy          = data.aws_iam_policy_document.processor.json
  service_account = merge(var.cluster, { namespace = "logq", name = "logq-processor" })
}

module "maintenance" {
  source          = "../role"
  name            = "${var.prefix}-maintenance"
  description     = "logq-processor compact, vacuum, seal, expire, verify, lifecycle check"
  policy          = data.aws_iam_policy_document.maintenance.json
  service_account = merge(var.cluster, { namespace = "logq", name = "logq-maintenance" })
}

# One role for each entry of `analysts`; `detect` is the one the CronJob takes.
module "analyst" {
  source          = "../role"
  for_each        = var.analysts
  name            = "${var.prefix}-analyst-${each.key}"
  description     = "logq: reads ${join(", ", each.value.tables)}"
  policy          = data.aws_iam_policy_document.analyst[each.key].json
  service_account = merge(var.cluster, { namespace = "logq", name = each.key == "detect" ? "logq-analyst" : "logq-analyst-${each.key}" })
  principal_arns  = each.value.principal_arns
}

module "operator" {
  source          = "../role"
  name            = "${var.prefix}-operator"
  description     = "people: lifecycle apply, restore, public keys of CloudTrail"
  policy          = data.aws_iam_policy_document.operator.json
  service_account = merge(var.cluster, { namespace = "logq", name = "logq-operator" })
  principal_arns  = var.operator_principal_arns
}
