// Package redisurl reads the Redis setting, which says where Redis is and how it is run:
//
//	redis://[[user]:password@]host[:port][/db][?parameters]     rediss:// with TLS
//	several of these with commas or white space between         shards; their order is part of the meaning
//	redis+sentinel://[user:password@]host[:port][/db]?master_name=name[&addr=host:port …]
//	               [&sentinel_username=…][&sentinel_password=…] rediss+sentinel:// with TLS
//	redis+cluster://[user:password@]host[:port][?addr=host:port …][&pubsub=sharded|classic]
//	                                                            rediss+cluster:// with TLS
//	embedded://host:port                                        the broker inside the node
//
// All but the last take go-redis' parameters (dial_timeout, pool_size, skip_verify …) too,
// which are go-redis' to judge.
//
// [Parse] is the only reader: package config asks it for the error, package pubsub makes
// go-redis' options of what it returns. [Redact] is the setting for other eyes. The package
// stands below pubsub, whose terms these are, and imports the standard library alone: so
// package config may look down on it without looking at a client of Redis, and pubsub needs
// to know of no configuration.
package redisurl
