// Package codec turns bytes into WebSocket protocol and back.
package codec
