provider "aws" {
  alias  = "management"
  region = var.region
  assume_role {
    role_arn = "arn:aws:iam::${var.accounts.management}:role/${var.deploy_role_name}"
  }
  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias  = "dev"
  region = var.region
  assume_role {
    role_arn = "arn:aws:iam::${var.accounts.dev}:role/${var.deploy_role_name}"
  }
  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias  = "prod"
  region = var.region
  assume_role {
    role_arn = "arn:aws:iam::${var.accounts.prod}:role/${var.deploy_role_name}"
  }
  default_tags {
    tags = local.tags
  }
}
