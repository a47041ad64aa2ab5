// Package pubsub carries messages between Redis and this node.
package pubsub
