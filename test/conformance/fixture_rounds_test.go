//go:build conformance

package conformance

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// How the newest revision asks the client: the result says what is missing, and the
// client calls again with it. requestState travels with it and comes back.

func form(property, kind string) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "object", Properties: map[string]*jsonschema.Schema{property: {Type: kind}}, Required: []string{property},
	}
}

func askName(message string) *mcp.ElicitParams {
	return &mcp.ElicitParams{Message: message, RequestedSchema: form("name", "string")}
}

func askModel(text string) *mcp.CreateMessageParams {
	return &mcp.CreateMessageParams{
		Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: text}}}, MaxTokens: 100,
	}
}

// accepted is what the user filled in, nil unless it was accepted.
func accepted(responses mcp.InputResponseMap, name string) map[string]any {
	if r, ok := responses[name].(*mcp.ElicitResult); ok && r != nil && r.Action == "accept" {
		return r.Content
	}
	return nil
}

func sampled(responses mcp.InputResponseMap, name string) (string, bool) {
	r, ok := responses[name].(*mcp.CreateMessageWithToolsResult)
	if !ok || r == nil {
		return "", false
	}
	for _, c := range r.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			return text.Text, true
		}
	}
	return "", true
}

// sound reports whether a state came back as it went out: the suite spoils it at its end.
func sound(state string) bool { return state != "" && !strings.HasSuffix(state, "-TAMPERED") }

var errState = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "invalid requestState"}

func ask(state string, inputs mcp.InputRequestMap) callRes {
	return &mcp.CallToolResult{InputRequests: inputs, RequestState: state}
}

func addRounds(s *mcp.Server) {
	add(s, "test_input_required_result_elicitation", anyObject, func(_ context.Context, req callReq) (callRes, error) {
		if name, _ := accepted(req.Params.InputResponses, "user_name")["name"].(string); name != "" {
			return said("Hello, " + name + "!"), nil
		}
		return ask("", mcp.InputRequestMap{"user_name": askName("What is your name?")}), nil
	})
	add(s, "test_input_required_result_sampling", anyObject, func(_ context.Context, req callReq) (callRes, error) {
		if text, ok := sampled(req.Params.InputResponses, "capital_question"); ok {
			return said("Sampling response: " + text), nil
		}
		return ask("", mcp.InputRequestMap{"capital_question": askModel("What is the capital of France?")}), nil
	})
	add(s, "test_input_required_result_list_roots", anyObject, func(_ context.Context, req callReq) (callRes, error) {
		if r, ok := req.Params.InputResponses["client_roots"].(*mcp.ListRootsResult); ok && r != nil {
			return said(fmt.Sprintf("Client exposed %d root(s)", len(r.Roots))), nil
		}
		return ask("", mcp.InputRequestMap{"client_roots": &mcp.ListRootsParams{}}), nil
	})
	for name, state := range map[string]string{
		"test_input_required_result_request_state": "request_state", "test_input_required_result_tampered_state": "tampered_state",
	} {
		add(s, name, anyObject, func(_ context.Context, req callReq) (callRes, error) {
			switch came := req.Params.RequestState; {
			case came != "" && !sound(came), came == "" && accepted(req.Params.InputResponses, "confirm") != nil:
				return nil, errState
			case accepted(req.Params.InputResponses, "confirm") != nil:
				return said("state-ok: requestState received and confirmation accepted"), nil
			}
			return ask(state, mcp.InputRequestMap{"confirm": &mcp.ElicitParams{Message: "Please confirm", RequestedSchema: form("ok", "boolean")}}), nil
		})
	}
	add(s, "test_input_required_result_multiple_inputs", anyObject, func(_ context.Context, req callReq) (callRes, error) {
		in := req.Params.InputResponses
		name, _ := accepted(in, "user_name")["name"].(string)
		greeting, greeted := sampled(in, "greeting")
		if roots, ok := in["client_roots"].(*mcp.ListRootsResult); ok && roots != nil && greeted && name != "" {
			return said(fmt.Sprintf("%s %s, %d root(s) visible", greeting, name, len(roots.Roots))), nil
		}
		return ask("multiple_inputs", mcp.InputRequestMap{
			"user_name": askName("What is your name?"), "greeting": askModel("Generate a greeting"), "client_roots": &mcp.ListRootsParams{},
		}), nil
	})
	add(s, "test_input_required_result_multi_round", anyObject, func(_ context.Context, req callReq) (callRes, error) {
		const second = "round=2;name="
		switch state := req.Params.RequestState; state {
		case "":
			return ask("round=1", mcp.InputRequestMap{"step1": askName("Step 1: What is your name?")}), nil
		case "round=1":
			name, _ := accepted(req.Params.InputResponses, "step1")["name"].(string)
			return ask(second+name, mcp.InputRequestMap{"step2": &mcp.ElicitParams{
				Message: "Step 2: What is your favorite color?", RequestedSchema: form("color", "string"),
			}}), nil
		default:
			color, _ := accepted(req.Params.InputResponses, "step2")["color"].(string)
			return said("Multi-round complete: " + strings.TrimPrefix(state, second) + " likes " + color), nil
		}
	})
	add(s, "test_input_required_result_capabilities", anyObject, func(_ context.Context, req callReq) (callRes, error) {
		if len(req.Params.InputResponses) > 0 {
			return said("answered"), nil
		}
		inputs := mcp.InputRequestMap{}
		if caps := req.ClientCapabilities(); caps != nil {
			if caps.Elicitation != nil {
				inputs["user_name"] = askName("What is your name?")
			}
			if caps.Sampling != nil {
				inputs["greeting"] = askModel("Generate a short greeting")
			}
			if caps.RootsV2 != nil {
				inputs["client_roots"] = &mcp.ListRootsParams{}
			}
		}
		if len(inputs) == 0 {
			return said("the client can be asked nothing"), nil
		}
		return ask("", inputs), nil
	})
}
