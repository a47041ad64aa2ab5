// Package strict reads the files of deploy with the types of those who will read them: Kubernetes, Helm, Docker Compose, Envoy, Prometheus. A
// field that none of them knows, a value of the wrong kind, a chart that does not render is found here, and not in somebody's cluster.
//
// It is a module of its own, for tests alone: these libraries are many, and the program needs none of them.
package strict
