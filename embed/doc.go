// Package embed asks an endpoint for the vectors of texts, by the protocol that many servers
// of language models share: POST /v1/embeddings.
//
// It promises that what it returns is whole: one vector of finite numbers for each text, all
// of one length, none without a direction. Whatever else the endpoint does is an *Error that
// says of what kind, and that repeats neither a text, nor the key, nor what was answered.
//
// It does not try again, does not know what the texts are, and keeps nothing.
package embed
