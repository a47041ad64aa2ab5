package auth

// maxTries is how many signatures one token may cost.
const maxTries = 4

// issuer is one who signs tokens, with all keys that are known of it.
type issuer struct {
	name   string // iss of its tokens; "" does not care
	static []*key
	jwks   *jwks // nil if it has none
}

// candidates are the keys that a token may be signed with, never more than maxTries: those with its kid, or else
// those without one. A token without a kid may be of any. into is room for the result.
func (i *issuer) candidates(alg, kid string, into []*key) ([]*key, *Error) {
	named, unnamed := into[:0], make([]*key, 0, maxTries)
	forAlg := 0
	for _, keys := range [2][]*key{i.static, i.jwks.keys()} {
		for _, k := range keys {
			switch {
			case k.alg.name != alg:
				continue
			case kid != "" && k.id == kid && len(named) < maxTries:
				named = append(named, k)
			case (kid == "" || k.id == "") && len(unnamed) < maxTries:
				unnamed = append(unnamed, k)
			}
			forAlg++
		}
	}
	if len(named) > 0 {
		return named, nil
	}
	if kid != "" && i.jwks.lists(alg) {
		i.jwks.wake()
	}
	switch {
	case len(unnamed) > 0 && kid == "" && forAlg > maxTries:
		return nil, errNoKid
	case len(unnamed) > 0:
		return append(into[:0], unnamed...), nil
	case i.jwks.lists(alg) && !i.jwks.fetched():
		return nil, errNotFetched
	case forAlg == 0:
		return nil, errAlg
	}
	return nil, errKid
}
