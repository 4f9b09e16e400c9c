module kecs-state/real/pause

go 1.21
