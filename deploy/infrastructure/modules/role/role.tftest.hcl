# A role that nobody could take, or everybody, is a mistake of the caller.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
    }
  }
}

variables {
  name        = "acme-logq-processor"
  description = "test"
  policy      = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
}

run "irsa" {
  command = plan
  variables {
    service_account = { namespace = "logq", name = "logq-processor", oidc_provider_arn = "arn:aws:iam::222222222222:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC" }
  }
  assert {
    condition     = one([for c in data.aws_iam_policy_document.trust.statement[0].condition : c.values[0] if endswith(c.variable, ":sub")]) == "system:serviceaccount:logq:logq-processor"
    error_message = "bound to one service account"
  }
  assert {
    condition     = one([for c in data.aws_iam_policy_document.trust.statement[0].condition : c.variable if endswith(c.variable, ":aud")]) == "oidc.eks.eu-west-1.amazonaws.com/id/ABC:aud"
    error_message = "the issuer is the provider's path"
  }
}

run "pod_identity" {
  command = plan
  variables {
    service_account = { namespace = "logq", name = "logq-processor", cluster_arn = "arn:aws:eks:eu-west-1:222222222222:cluster/logging" }
  }
  assert {
    condition     = contains(data.aws_iam_policy_document.trust.statement[0].actions, "sts:TagSession")
    error_message = "Pod Identity tags its sessions"
  }
}

run "nobody" {
  command = plan
  variables {
    service_account = { namespace = "logq", name = "logq-processor" }
  }
  expect_failures = [var.service_account]
}
