package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Sample is one series at a moment.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Series is one series over time; Times are in Unix seconds.
type Series struct {
	Labels        map[string]string
	Times, Values []float64
}

// Rule is an alert as Prometheus evaluates it.
type Rule struct {
	Name, Query string
	Health      string // "ok", or "err": LastError says why
	LastError   string
	State       string // inactive, pending, firing
}

// Query evaluates an expression now.
func (s *Server) Query(ctx context.Context, expr string) ([]Sample, error) {
	var result struct {
		Result []struct {
			Metric map[string]string
			Value  value
		}
	}
	if err := s.get(ctx, "/api/v1/query", url.Values{"query": {expr}}, &result); err != nil {
		return nil, err
	}
	var samples []Sample
	for _, r := range result.Result {
		samples = append(samples, Sample{r.Metric, r.Value.of})
	}
	return samples, nil
}

// Range evaluates an expression at every step between two moments.
func (s *Server) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]Series, error) {
	var result struct {
		Result []struct {
			Metric map[string]string
			Values []value
		}
	}
	seconds := func(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }
	if err := s.get(ctx, "/api/v1/query_range", url.Values{"query": {expr}, "start": {seconds(float64(from.UnixMilli()) / 1000)},
		"end": {seconds(float64(to.UnixMilli()) / 1000)}, "step": {seconds(step.Seconds())}}, &result); err != nil {
		return nil, err
	}
	var all []Series
	for _, r := range result.Result {
		one := Series{Labels: r.Metric}
		for _, v := range r.Values {
			one.Times, one.Values = append(one.Times, v.at), append(one.Values, v.of)
		}
		all = append(all, one)
	}
	return all, nil
}

// Rules are the alerts that it evaluates.
func (s *Server) Rules(ctx context.Context) ([]Rule, error) {
	var result struct{ Groups []struct{ Rules []Rule } }
	if err := s.get(ctx, "/api/v1/rules", nil, &result); err != nil {
		return nil, err
	}
	var all []Rule
	for _, g := range result.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}

// value is a moment in Unix seconds, and what was then. On the wire it is [1700000000.1,"3.5"].
type value struct{ at, of float64 }

// UnmarshalJSON implements json.Unmarshaler.
func (v *value) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &[]any{&v.at, &text}); err != nil {
		return err
	}
	var err error
	v.of, err = strconv.ParseFloat(text, 64)
	return err
}

// get asks for data; into may be nil.
func (s *Server) get(ctx context.Context, path string, form url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if form == nil {
		request.Method = http.MethodGet
	}
	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s answered %s: %w", path, response.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s answered %s: %s", path, response.Status, answer.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, into)
}
