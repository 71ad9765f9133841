# What a user of Terraform writes: a model, a configuration and an endpoint.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

variable "image" { type = string }
variable "role" { type = string }
variable "instance_type" { type = string }
variable "name" { type = string }
variable "bucket" { type = string }

variable "instances" {
  type    = number
  default = 1
}

variable "asynchronous" {
  type    = bool
  default = false
}

resource "aws_sagemaker_model" "this" {
  execution_role_arn = var.role

  primary_container {
    image       = var.image
    environment = { NAME = var.name }
  }

  tags = { by = "terraform" }
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  production_variants {
    variant_name           = "AllTraffic"
    model_name             = aws_sagemaker_model.this.name
    instance_type          = var.instance_type
    initial_instance_count = var.instances
  }

  dynamic "async_inference_config" {
    for_each = var.asynchronous ? [1] : []
    content {
      client_config { max_concurrent_invocations_per_instance = 2 }
      output_config { s3_output_path = "s3://${var.bucket}/terraform" }
    }
  }

  data_capture_config {
    enable_capture              = true
    initial_sampling_percentage = 50
    destination_s3_uri          = "s3://${var.bucket}/captured"
    capture_options { capture_mode = "InputAndOutput" }
  }

  tags = { by = "terraform" }

  # As the provider's page says: an endpoint's configuration goes after the next is in use.
  lifecycle { create_before_destroy = true }
}

resource "aws_sagemaker_endpoint" "this" {
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name
  tags                 = { by = "terraform" }

  deployment_config {
    blue_green_update_policy {
      traffic_routing_configuration {
        type                     = "ALL_AT_ONCE"
        wait_interval_in_seconds = 0
      }
      termination_wait_in_seconds          = 0
      maximum_execution_timeout_in_seconds = 3600
    }
  }
}

output "name" { value = aws_sagemaker_endpoint.this.name }
output "config" { value = aws_sagemaker_endpoint_configuration.this.name }
output "model" { value = aws_sagemaker_model.this.name }
