# The stores' images, as `docker buildx bake` builds them: BuildKit's cache knows what has changed.
# DEBIAN is a tag that staging/stack/images.py has made sure of; CERTIFICATES are what a build trusts.
variable "DEBIAN" {
  default = "debian:trixie-slim"
}
variable "CERTIFICATES" {
  default = "/dev/null"
}
variable "PREFIX" {
  default = "rollproof-staging"
}

# The applications start from it, too: it has a tag, though none of the stack's services runs it.
target "base" {
  context = "base"
  tags = ["${PREFIX}/base"]
  args = { DEBIAN = DEBIAN }
}

target "from-base" {
  contexts = { base = "target:base" }
  secret = ["id=ca,src=${CERTIFICATES}"]
}

target "store" {
  name = store
  matrix = { store = ["mysql", "mongodb", "redis", "milvus", "qdrant", "minio", "kafka"] }
  inherits = ["from-base"]
  context = store
  tags = ["${PREFIX}/${store}"]
}

# It answers to the name of MySQL.
target "mariadb" {
  inherits = ["from-base"]
  context = "mariadb"
  tags = ["${PREFIX}/mysql"]
}

# The stack of the application `notebook` and the contracts of stores run it.
target "postgresql" {
  inherits = ["from-base"]
  context = "postgresql"
  tags = ["${PREFIX}/postgresql"]
}

# It answers to the name of Redis.
target "valkey" {
  inherits = ["from-base"]
  context = "redis"
  args = { SERVER = "valkey" }
  tags = ["${PREFIX}/redis"]
}

# Under its own name, in the stack of the application `notebook`.
target "valkey-itself" {
  inherits = ["valkey"]
  tags = ["${PREFIX}/valkey"]
}
