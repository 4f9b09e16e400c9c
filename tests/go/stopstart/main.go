// Stops a KECS instance and starts it again through the service, as `kecs stop` and `kecs start` would:
//
//	stopstart http://127.0.0.1:5380 demo
//
// The package kecsstate is generated from openapi.json; docs/kecs-integration.md says what each outcome means.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"kecs-state/tests/go/kecsstate"
)

// A long poll answers within a minute; anything slower is a service that hangs.
const (
	pollSeconds   = 30
	answerTimeout = 40 * time.Second
	jobTimeout    = 5 * time.Minute
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: stopstart URL INSTANCE")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*jobTimeout)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, instance string) error {
	client, err := kecsstate.NewClientWithResponses(url, kecsstate.WithHTTPClient(&http.Client{Timeout: answerTimeout}))
	if err != nil {
		return err
	}
	stopped, err := stop(ctx, client, instance)
	if err != nil {
		return err
	}
	fmt.Printf("stopped: protected=%v backup=%v\n", (*stopped.Result)["protected"], (*stopped.Result)["backup"])
	started, err := start(ctx, client, instance)
	if err != nil {
		return err
	}
	fmt.Printf("started: action=%v\n", (*started.Result)["action"])
	return nil
}

func stop(ctx context.Context, client *kecsstate.ClientWithResponses, instance string) (*kecsstate.JobView, error) {
	answer, err := client.StopInstanceWithResponse(ctx, instance, nil, kecsstate.StopRequest{})
	if err != nil {
		return nil, err
	}
	switch {
	case answer.JSON202 != nil:
		return ended(ctx, client, answer.JSON202.Id)
	case answer.ApplicationproblemJSON404 != nil:
		return nil, refusal(answer.ApplicationproblemJSON404)
	case answer.ApplicationproblemJSON409 != nil:
		return nil, refusal(answer.ApplicationproblemJSON409)
	}
	return nil, fmt.Errorf("stop: %s: %s", answer.Status(), answer.Body)
}

func start(ctx context.Context, client *kecsstate.ClientWithResponses, instance string) (*kecsstate.JobView, error) {
	answer, err := client.StartInstanceWithResponse(ctx, instance, nil, kecsstate.StartRequest{})
	if err != nil {
		return nil, err
	}
	if answer.JSON202 == nil {
		return nil, fmt.Errorf("start: %s: %s", answer.Status(), answer.Body)
	}
	return ended(ctx, client, answer.JSON202.Id)
}

// ended follows a job to its end; anything but success is an error with the service's own words.
func ended(ctx context.Context, client *kecsstate.ClientWithResponses, id string) (*kecsstate.JobView, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	wait := float32(pollSeconds)
	for {
		answer, err := client.GetJobWithResponse(ctx, id, &kecsstate.GetJobParams{Wait: &wait})
		if err != nil {
			return nil, err
		}
		if answer.JSON200 == nil {
			return nil, fmt.Errorf("job %s: %s: %s", id, answer.Status(), answer.Body)
		}
		switch job := answer.JSON200; job.Status {
		case kecsstate.JobStatusSucceeded:
			for _, warning := range job.Warnings {
				fmt.Fprintf(os.Stderr, "warning %s: %s\n", warning.Code, warning.Detail)
			}
			return job, nil
		case kecsstate.JobStatusFailed:
			return nil, refusal(job.Error)
		case kecsstate.JobStatusCancelled:
			return nil, fmt.Errorf("job %s was cancelled", id)
		}
	}
}

func refusal(problem *kecsstate.Problem) error {
	remedy := ""
	if problem.Remedy != nil {
		remedy = *problem.Remedy
	}
	return fmt.Errorf("%s: %s. %s", problem.Code, problem.Detail, remedy)
}
