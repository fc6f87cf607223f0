//go:build conformance

package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The names, texts and schemas here are those that the suite looks for. What answers them
// follows the everything-server of the Go SDK (Apache-2.0 and MIT, The Go MCP SDK Authors).

type (
	callReq = *mcp.CallToolRequest
	callRes = *mcp.CallToolResult
)

const (
	watchedURI = "test://watched-resource"
	anyObject  = `{"type":"object"}`

	png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	wav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
)

func bytesOf(b64 string) []byte {
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		panic(err)
	}
	return b
}

func said(text string) callRes { return content(&mcp.TextContent{Text: text}) }

func content(c ...mcp.Content) callRes { return &mcp.CallToolResult{Content: c} }

func image() mcp.Content { return &mcp.ImageContent{Data: bytesOf(png), MIMEType: "image/png"} }

func embedded(uri, text string) mcp.Content {
	return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: uri, MIMEType: "text/plain", Text: text}}
}

func newFixture() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "memd-fixture", Version: "1"}, &mcp.ServerOptions{
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
		},
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	addTools(s)
	addQuestions(s)
	addRounds(s)
	addResources(s)
	addPrompts(s)
	return s
}

// add is a tool that takes an object of the given schema.
func add(s *mcp.Server, name, schema string, h mcp.ToolHandler) {
	s.AddTool(&mcp.Tool{Name: name, Description: "For the conformance suite: " + name, InputSchema: json.RawMessage(schema)}, h)
}

// fixed is a tool that always answers the same.
func fixed(s *mcp.Server, name string, res callRes) {
	add(s, name, anyObject, func(context.Context, callReq) (callRes, error) { return res, nil })
}

func addTools(s *mcp.Server) {
	fixed(s, "test_simple_text", said("This is a simple text response for testing."))
	fixed(s, "test_image_content", content(image()))
	fixed(s, "test_audio_content", content(&mcp.AudioContent{Data: bytesOf(wav), MIMEType: "audio/wav"}))
	fixed(s, "test_embedded_resource", content(embedded("test://embedded-resource", "This is an embedded resource")))
	fixed(s, "test_multiple_content_types", content(
		&mcp.TextContent{Text: "This is text content"}, image(), embedded("test://embedded-in-multiple", "This is an embedded resource")))
	failed := said("this tool intentionally returns an error for testing")
	failed.IsError = true
	fixed(s, "test_error_handling", failed)
	fixed(s, "test_streaming_elicitation", said("only results on this stream"))

	add(s, "test_tool_with_logging", anyObject, func(ctx context.Context, req callReq) (callRes, error) {
		for _, text := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
			logged(ctx, req, text)
			time.Sleep(50 * time.Millisecond) // the scenario looks at how messages are spread
		}
		return said("Tool with logging executed successfully"), nil
	})
	add(s, "test_logging_tool", anyObject, func(ctx context.Context, req callReq) (callRes, error) {
		logged(ctx, req, "test_logging_tool executed") // dropped unless the client asked for it
		return said("logged"), nil
	})
	add(s, "test_tool_with_progress", anyObject, func(ctx context.Context, req callReq) (callRes, error) {
		token := req.Params.GetProgressToken()
		for _, at := range []float64{0, 50, 100} {
			_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
				ProgressToken: token, Progress: at, Total: 100, Message: fmt.Sprintf("Completed step %.0f of 100", at),
			})
			time.Sleep(50 * time.Millisecond)
		}
		return said(fmt.Sprint(token)), nil
	})
	add(s, "test_reconnection", anyObject, func(_ context.Context, req callReq) (callRes, error) {
		if req.Extra != nil && req.Extra.CloseSSEStream != nil {
			req.Extra.CloseSSEStream(mcp.CloseSSEStreamArgs{RetryAfter: 10 * time.Millisecond})
		}
		time.Sleep(100 * time.Millisecond) // the client comes back meanwhile
		return said("Reconnection test completed successfully."), nil
	})
	add(s, "test_missing_capability", anyObject, missingCapability)
	add(s, "test_trigger_tool_change", anyObject, func(context.Context, callReq) (callRes, error) {
		fixed(s, "__transient_tool", said(""))
		return said("tools changed"), nil
	})
	add(s, "test_trigger_prompt_change", anyObject, func(context.Context, callReq) (callRes, error) {
		s.AddPrompt(&mcp.Prompt{Name: "__transient_prompt", Description: "comes and goes"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{}, nil
		})
		return said("prompts changed"), nil
	})
	add(s, "json_schema_2020_12_tool", schema2020, func(_ context.Context, req callReq) (callRes, error) {
		return said("called with " + string(req.Params.Arguments)), nil
	})
	add(s, "test_x_mcp_header", `{"type":"object","properties":{
		"region":{"type":"string","description":"mirrored into Mcp-Param-Region","x-mcp-header":"Region"},
		"level":{"type":"integer","description":"not mirrored"}}}`,
		func(context.Context, callReq) (callRes, error) { return said("ok"), nil })
}

func logged(ctx context.Context, req callReq, text string) {
	//nolint:staticcheck // deprecated in the newest revision, scored in the older ones
	_ = req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: text})
}

func missingCapability(_ context.Context, req callReq) (callRes, error) {
	if caps := req.ClientCapabilities(); caps != nil && caps.Sampling != nil {
		return said("the client can sample"), nil
	}
	data, err := json.Marshal(mcp.MissingRequiredClientCapabilityData{
		RequiredCapabilities: &mcp.ClientCapabilities{Sampling: &mcp.SamplingCapabilities{}},
	})
	if err != nil {
		return nil, err
	}
	return nil, &jsonrpc.Error{Code: mcp.CodeMissingRequiredClientCapabilities, Message: "sampling is required", Data: data}
}

// schema2020 has words of JSON Schema 2020-12 that must arrive as they are.
const schema2020 = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
	"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
	"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},
		"phone":{"type":"string"},"email":{"type":"string"}},
	"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
	"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},
	"then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}`

// addQuestions adds the tools that ask the client in the middle of a call: the older era.
func addQuestions(s *mcp.Server) {
	add(s, "test_sampling", `{"type":"object","properties":{"prompt":{"type":"string"}},"required":["prompt"]}`,
		func(ctx context.Context, req callReq) (callRes, error) {
			var in struct{ Prompt string }
			if err := json.Unmarshal(req.Params.Arguments, &in); err != nil {
				return nil, err
			}
			//nolint:staticcheck // deprecated in the newest revision, scored in the older ones
			out, err := req.Session.CreateMessage(ctx, &mcp.CreateMessageParams{
				Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: in.Prompt}}}, MaxTokens: 100,
			})
			if err != nil {
				return failure(err), nil
			}
			text, _ := out.Content.(*mcp.TextContent)
			return said("LLM response: " + text.Text), nil
		})
	add(s, "test_elicitation", `{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}`,
		func(ctx context.Context, req callReq) (callRes, error) {
			var in struct{ Message string }
			if err := json.Unmarshal(req.Params.Arguments, &in); err != nil {
				return nil, err
			}
			return elicit(ctx, req, in.Message, &jsonschema.Schema{
				Type: "object", Properties: map[string]*jsonschema.Schema{"username": {Type: "string"}}, Required: []string{"username"},
			})
		})
	for name, schema := range map[string]string{
		"test_elicitation_sep1034_defaults": `{"type":"object","properties":{
			"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},"score":{"type":"number","default":95.5},
			"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},"verified":{"type":"boolean","default":true}}}`,
		"test_elicitation_sep1330_enums": `{"type":"object","properties":{
			"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},
			"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},
			"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},
			"untitledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"type":"string","enum":["option1","option2","option3"]}},
			"titledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"type":"string","anyOf":[{"const":"value1","title":"First Choice"},{"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}}}`,
	} {
		add(s, name, anyObject, func(ctx context.Context, req callReq) (callRes, error) {
			var m map[string]any
			if err := json.Unmarshal([]byte(schema), &m); err != nil {
				return nil, err
			}
			return elicit(ctx, req, "What shall it be?", m)
		})
	}
}

func failure(err error) callRes {
	res := said(err.Error())
	res.IsError = true
	return res
}

func elicit(ctx context.Context, req callReq, message string, schema any) (callRes, error) {
	out, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: message, RequestedSchema: schema})
	if err != nil {
		return failure(err), nil
	}
	answer, err := json.Marshal(out.Content)
	return said(fmt.Sprintf("Elicitation result: action=%s, content=%s", out.Action, answer)), err
}
