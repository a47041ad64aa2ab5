package auth

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Claims are what Sign puts into a token. Zero fields are left out.
type Claims struct {
	User     string        // sub
	TTL      time.Duration // from Issued to exp, at least 1 s
	NoExpiry bool          // no exp, TTL must be 0; verifiers refuse such tokens unless told otherwise
	Issued   time.Time     // iat, zero: now
	Audience string
	Issuer   string // "": Key.Issuer
	ID       string // jti
	Channel  string // makes it a token for one subscription
	Channels []string
	Allow    Allow
	Info     json.RawMessage
}

// payload is Claims as they stand in a token.
type payload struct {
	User     string          `json:"sub"`
	Issuer   string          `json:"iss,omitempty"`
	Audience string          `json:"aud,omitempty"`
	Issued   int64           `json:"iat"`
	Expires  int64           `json:"exp,omitempty"`
	ID       string          `json:"jti,omitempty"`
	Channel  string          `json:"channel,omitempty"`
	Channels []string        `json:"channels,omitempty"`
	Allow    *Allow          `json:"allow,omitempty"`
	Info     json.RawMessage `json:"info,omitempty"`
}

// Sign makes a token. The key is a secret for HS…, and a private key in PEM for the others. It refuses to make
// what Verify would not take.
func Sign(k Key, c Claims) (string, error) {
	alg, private, err := signer(k)
	if err != nil {
		return "", fmt.Errorf("auth: key %q: %w", k.ID, err)
	}
	body, err := c.encode(k.Issuer)
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(struct {
		Alg  string `json:"alg"`
		Type string `json:"typ"`
		ID   string `json:"kid,omitempty"`
	}{alg.name, "JWT", k.ID})
	if err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	signature, err := alg.method.Sign(signed, private)
	if err != nil {
		return "", fmt.Errorf("auth: key %q does not sign: %w", k.ID, err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// encode is the payload, once it has passed the checks of Verify.
func (c Claims) encode(issuer string) ([]byte, error) {
	def(&c.Issuer, issuer)
	if c.Issued.IsZero() {
		c.Issued = time.Now()
	}
	p := payload{
		User: c.User, Issuer: c.Issuer, Audience: c.Audience, Issued: c.Issued.Unix(), ID: c.ID,
		Channel: c.Channel, Channels: c.Channels, Info: c.Info,
	}
	switch {
	case c.NoExpiry && c.TTL != 0:
		return nil, errors.New("auth: a token has either a time to live or no expiry")
	case !c.NoExpiry && c.TTL < time.Second:
		return nil, fmt.Errorf("auth: the token's time to live must be 1s or more, is %v", c.TTL)
	case !c.NoExpiry:
		p.Expires = c.Issued.Add(c.TTL).Unix()
	}
	if len(c.Allow.Subscribe) > 0 || len(c.Allow.Publish) > 0 {
		p.Allow = &c.Allow
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("auth: the claims can not be written: %w", err)
	}
	body, refusal := parseObject(text)
	if refusal == nil {
		_, _, refusal = claims(body).identity(&Options{Audience: c.Audience, NoExpiry: c.NoExpiry})
	}
	if refusal != nil {
		return nil, fmt.Errorf("auth: these claims would be refused: %w", refusal)
	}
	return text, nil
}

// signer is the algorithm of a key, and what it signs with.
func signer(k Key) (*algorithm, any, error) {
	alg := findAlgorithm(k.Alg)
	switch {
	case alg == nil:
		return nil, nil, fmt.Errorf("alg %q is none of %s", k.Alg, algNames)
	case k.ID != "" && !isName(k.ID):
		return nil, nil, errors.New("its ID is longer than 255 bytes, or cannot be printed")
	case alg.family == hmacKeys:
		return alg, k.Secret, checkSecret(alg, k.Secret)
	}
	private, err := parsePrivate(k.PEM)
	if err != nil {
		return nil, nil, err
	}
	if why := alg.fits(private.Public()); why != "" {
		return nil, nil, errors.New(why)
	}
	return alg, private, nil
}

// UsualAlg is the algorithm that a private key in PEM is used with where nobody says another: RS256, ES256, ES384 or EdDSA.
func UsualAlg(private []byte) (string, error) {
	signer, err := parsePrivate(private)
	if err != nil {
		return "", fmt.Errorf("auth: this key does not sign: %w", err)
	}
	why := ""
	for _, name := range [...]string{"RS256", "ES256", "ES384", "EdDSA"} {
		alg := findAlgorithm(name)
		if misfit := alg.fits(signer.Public()); misfit == "" {
			return name, nil
		} else if alg.family == familyOf(signer.Public()) {
			why = misfit
		}
	}
	return "", fmt.Errorf("auth: this key does not sign: %s", why)
}

// Verifies reports whether k, with a public key, verifies what a private key in PEM signs.
func (k Key) Verifies(private []byte) bool {
	signer, err := parsePrivate(private)
	if err != nil {
		return false
	}
	public, err := parsePublic(k.PEM)
	if err != nil {
		return false
	}
	own, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

func parsePrivate(text []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam -genkey writes them in front; the key repeats them
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("it has no PEM block: a private key begins with -----BEGIN PRIVATE KEY-----")
	}
	var private any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("its PEM block is %q, not an unencrypted PRIVATE KEY: a token is signed with the private one", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("its private key can not be read: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("it is a key for key agreement, not for signatures")
	}
	return signer, nil
}
