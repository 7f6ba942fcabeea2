"""The fields of every type of state.

Source: the Amazon States Language (https://states-language.net/spec.html) and the fields that Step
Functions adds to it.
"""

_ANY = {"Type", "Comment", "QueryLanguage"}
_FLOW = {"Next", "End"}
_JSON_PATH = {"InputPath", "OutputPath"}
_RESULT = {"ResultPath", "ResultSelector", "Parameters"}
_RECOVERY = {"Retry", "Catch"}
_JSONATA = {"Output", "Assign"}
_MAP = {
    "ItemProcessor", "Iterator", "ItemsPath", "Items", "ItemSelector", "MaxConcurrency",
    "MaxConcurrencyPath",
}  # fmt: skip

# Fields of a Map in mode DISTRIBUTED.
DISTRIBUTED_FIELDS = {
    "ItemReader", "ItemBatcher", "ResultWriter", "Label", "ToleratedFailureCount",
    "ToleratedFailureCountPath", "ToleratedFailurePercentage", "ToleratedFailurePercentagePath",
}  # fmt: skip

STATE_FIELDS = {
    "Task": _ANY | _FLOW | _JSON_PATH | _RESULT | _RECOVERY | _JSONATA
    | {"Arguments", "Resource", "Credentials", "TimeoutSeconds", "TimeoutSecondsPath",
       "HeartbeatSeconds", "HeartbeatSecondsPath"},
    "Pass": _ANY | _FLOW | _JSON_PATH | _JSONATA | {"Result", "ResultPath", "Parameters"},
    "Wait": _ANY | _FLOW | _JSON_PATH | _JSONATA
    | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Choice": _ANY | _JSON_PATH | _JSONATA | {"Choices", "Default"},
    "Succeed": _ANY | _JSON_PATH | {"Output"},
    "Fail": _ANY | {"Error", "ErrorPath", "Cause", "CausePath"},
    "Parallel": _ANY | _FLOW | _JSON_PATH | _RESULT | _RECOVERY | _JSONATA
    | {"Arguments", "Branches"},
    "Map": _ANY | _FLOW | _JSON_PATH | _RESULT | _RECOVERY | _JSONATA | _MAP
    | DISTRIBUTED_FIELDS,
}  # fmt: skip

MACHINE_FIELDS = {"Comment", "StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"}
SCOPE_FIELDS = {"Comment", "StartAt", "States", "QueryLanguage", "ProcessorConfig"}

ONLY_JSON_PATH = {
    "InputPath", "OutputPath", "ResultPath", "ResultSelector", "Parameters", "Result", "ItemsPath",
    "MaxConcurrencyPath", "SecondsPath", "TimestampPath", "TimeoutSecondsPath",
    "HeartbeatSecondsPath", "ErrorPath", "CausePath", "ToleratedFailureCountPath",
    "ToleratedFailurePercentagePath",
}  # fmt: skip
ONLY_JSONATA = {"Arguments", "Output", "Items"}

RETRIER_FIELDS = {
    "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds",
    "JitterStrategy", "Comment",
}  # fmt: skip
CATCHER_FIELDS = {"ErrorEquals", "Next", "ResultPath", "Output", "Assign", "Comment"}
RESERVED_ERRORS = {
    "States.ALL", "States.BranchFailed", "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold", "States.HeartbeatTimeout", "States.Http.Socket",
    "States.IntrinsicFailure", "States.ItemReaderFailed", "States.NoChoiceMatched",
    "States.ParameterPathFailure", "States.Permissions", "States.QueryEvaluationError",
    "States.ResultPathMatchFailure", "States.ResultWriterFailed", "States.Runtime",
    "States.TaskFailed", "States.Timeout",
}  # fmt: skip

# Arguments that a service requires. Without this check, an execution would fail halfway.
REQUIRED_ARGUMENTS = {
    "ecs:runTask": ("TaskDefinition",),
    "glue:startJobRun": ("JobName",),
    "lambda:invoke": ("FunctionName",),
    "sns:publish": ("Message",),
    "sqs:sendMessage": ("QueueUrl", "MessageBody"),
    "states:startExecution": ("StateMachineArn",),
}

TEXT_FIELDS = {
    "Cause", "Comment", "Default", "Error", "InputPath", "ItemsPath", "Next", "OutputPath",
    "QueryLanguage", "Resource", "Timestamp", "Type",
}  # fmt: skip
NULLABLE_FIELDS = {"InputPath", "OutputPath"}
