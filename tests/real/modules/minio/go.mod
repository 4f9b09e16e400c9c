module kecs-state/real/minio

go 1.24.0

require github.com/minio/minio v0.0.0-20250907161309-07c3a429bfed
