# Every image of the lab but the variants, whose targets derive from lab/images/variants.py.
# `lab images build` calls this file with the variables below filled in; by hand, from the top of
# the checkout, once `lab images build` has made the base:
#   lab images build --print > variants.json
#   docker buildx bake -f services/docker-bake.hcl -f variants.json onnx-slim
# Driver: `docker` (needs no builder image). Contexts are relative to the top of the checkout.

variable "ARCH" {
  default = "amd64"
}
# The engine's own: what is compiled for another one is compiled here.
variable "HOST" {
  default = ARCH
}
# The Debian that the images stand on: a local image, see services/base.
variable "BASE" {
  default = "inference-lab/base:trixie-${ARCH}"
}
# Where `base` itself comes from when a registry answers; pinned in services/pins.json.
variable "DEBIAN" {
  default = "docker.io/library/debian:trixie-slim"
}
# The image of somebody else's that a service is taken from where its registry answers; empty: it is
# built from Debian's or PyPI's packages. Pinned in services/pins.json, one target at a time.
variable "UPSTREAM" {
  default = ""
}
# Files of this machine that a build step may read and that no layer keeps. Empty: not needed.
variable "CA_FILE" { # certificates that this machine trusts
  default = ""
}
variable "PIP_FILE" { # this machine's pip settings, less what a build cannot reach
  default = ""
}
variable "UV_FILE" { # the same for uv
  default = ""
}
variable "APT_FILE" { # this machine's Debian mirror
  default = ""
}

variable "HTTP_PROXY" {
  default = ""
}
variable "HTTPS_PROXY" {
  default = ""
}
variable "NO_PROXY" {
  default = ""
}

function "tag" {
  params = [name]
  result = ["inference-lab/${name}:${ARCH}"]
}

target "_image" {
  platforms = ["linux/${ARCH}"]
  output = ["type=docker"]
  args = {
    BASE = BASE
    # Known to BuildKit: neither kept in the image nor part of the cache's key.
    HTTP_PROXY  = notequal(HTTP_PROXY, "") ? HTTP_PROXY : null
    HTTPS_PROXY = notequal(HTTPS_PROXY, "") ? HTTPS_PROXY : null
    NO_PROXY    = notequal(NO_PROXY, "") ? NO_PROXY : null
  }
  secret = concat(
    notequal(CA_FILE, "") ? ["type=file,id=ca,src=${CA_FILE}"] : [],
    notequal(PIP_FILE, "") ? ["type=file,id=pip,src=${PIP_FILE}"] : [],
    notequal(UV_FILE, "") ? ["type=file,id=uv,src=${UV_FILE}"] : [],
    notequal(APT_FILE, "") ? ["type=file,id=apt,src=${APT_FILE}"] : [],
  )
  labels = {
    "org.inference-lab.managed" = "true"
  }
}

# --- what the others stand on -----------------------------------------------------------------

target "base" {
  inherits = ["_image"]
  context = "services/base"
  target = "base"
  args = {
    DEBIAN = DEBIAN
  }
  tags = [BASE]
  labels = {
    "org.inference-lab.role" = "base"
  }
}

target "tools" {
  inherits = ["_image"]
  context = "services/base"
  contexts = {
    requirements = "requirements" # uv's own
  }
  target = "tools"
  tags = tag("tools") # so that it can be named, and removed
  labels = {
    "org.inference-lab.role" = "tools"
  }
}

# Those that run on the engine itself, whatever they compile for.
target "native" {
  inherits = ["tools"]
  platforms = ["linux/${HOST}"]
  args = {
    BASE = "inference-lab/base:trixie-${HOST}"
  }
  tags = ["inference-lab/tools:${HOST}"]
}

target "_variant" {
  inherits = ["_image"]
  context = "."
  labels = {
    "org.inference-lab.role" = "variant"
    # SageMaker tells the container its port (SAGEMAKER_BIND_TO_PORT), as multi-container needs.
    "com.amazonaws.sagemaker.capabilities.accept-bind-to-port" = "true"
  }
}

# --- the floor ----------------------------------------------------------------------------------

target "floor" {
  inherits = ["_variant"]
  context = "services/floor"
  contexts = {
    tools = "target:native"
  }
  tags = tag("floor")
  labels = {
    "org.inference-lab.variant" = "floor"
  }
}

# --- helpers ------------------------------------------------------------------------------------

target "coldhost" {
  inherits = ["_image"]
  context = "services/coldhost"
  tags = tag("coldhost")
  labels = {
    "org.inference-lab.role" = "coldhost"
  }
}

target "_upstream" {
  inherits = ["_image"]
  target = notequal(UPSTREAM, "") ? "pulled" : "packaged"
  args = {
    UPSTREAM = notequal(UPSTREAM, "") ? UPSTREAM : null
  }
}

target "registry" {
  inherits = ["_upstream"]
  context = "services/registry"
  tags = tag("registry")
  labels = {
    "org.inference-lab.role" = "registry"
  }
}

target "s3" {
  inherits = ["_upstream"]
  context = "."
  dockerfile = "services/s3/Dockerfile"
  contexts = equal(UPSTREAM, "") ? {
    tools = "target:tools"
  } : {}
  tags = tag("s3")
  labels = {
    "org.inference-lab.role" = "s3"
  }
}

target "prometheus" {
  inherits = ["_upstream"]
  context = "services/prometheus"
  tags = tag("prometheus")
  labels = {
    "org.inference-lab.role" = "prometheus"
  }
}

target "pushgateway" {
  inherits = ["_upstream"]
  context = "services/pushgateway"
  tags = tag("pushgateway")
  labels = {
    "org.inference-lab.role" = "pushgateway"
  }
}

# Nobody packages it: there is only the published image.
target "grafana" {
  inherits = ["_upstream"]
  context = "services/grafana"
  tags = tag("grafana")
  labels = {
    "org.inference-lab.role" = "grafana"
  }
}

target "trainer" {
  inherits = ["_image"]
  context = "."
  contexts = {
    tools = "target:tools"
  }
  dockerfile = "services/trainer/Dockerfile"
  tags = tag("trainer")
  labels = {
    "org.inference-lab.role" = "trainer"
  }
}

target "endpoint" {
  inherits = ["_image"]
  context = "."
  contexts = {
    tools = "target:tools"
  }
  dockerfile = "services/endpoint/Dockerfile"
  tags = tag("endpoint")
  labels = {
    "org.inference-lab.role" = "emulator"
  }
}

target "peers" {
  inherits = ["_image"]
  context = "."
  contexts = {
    tools = "target:tools"
  }
  dockerfile = "services/peers/Dockerfile"
  tags = tag("peers")
  labels = {
    "org.inference-lab.role" = "peers"
  }
}

group "helpers" {
  targets = ["coldhost", "registry", "trainer"]
}
group "stack" {
  targets = ["endpoint", "registry", "s3", "prometheus", "pushgateway"]
}
