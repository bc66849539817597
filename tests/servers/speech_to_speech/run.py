"""The speech-to-speech server, all of it as it comes but for its models: run.py PORT MODELS_URL SLOTS.

What listens for speech is a gate on loudness in place of Silero; what writes down, answers and speaks is asked over HTTP, as the
server does with models of others. torch, transformers and nltk, gigabytes that it imports in any case, are stood in for by the little
that it calls.
"""

import sys
import types

import numpy as np


class Tensor(np.ndarray):
    """An array with the names that the voice activity handler uses."""

    def dim(self):
        return self.ndim

    def cpu(self):
        return self

    def numpy(self):
        return np.asarray(self)


class Loudness:
    """Speech is what is loud."""

    def __call__(self, samples, _rate):
        return np.float32(0.95 if float(np.sqrt(np.mean(np.square(samples)))) > 0.01 else 0.02)

    def reset_states(self):
        """Has none."""


def module(name, **contents):
    made = types.ModuleType(name)
    made.__dict__.update(contents)
    sys.modules[name] = made
    return made


def as_tensor(array):
    return np.asarray(array).view(Tensor)


module(
    "torch",
    Tensor=Tensor,
    from_numpy=as_tensor,
    is_tensor=lambda it: isinstance(it, Tensor),
    cat=lambda parts: as_tensor(np.concatenate([np.asarray(part) for part in parts])),
    no_grad=lambda: lambda function: function,
    set_num_threads=lambda _: None,
    hub=types.SimpleNamespace(load=lambda *_, **__: (Loudness(), None)),
    cuda=types.SimpleNamespace(is_available=lambda: False),
)
module("transformers", HfArgumentParser=object)
module("nltk", data=types.SimpleNamespace(find=lambda _: None), sent_tokenize=lambda text: [text])


def main():
    from speech_to_speech import s2s_pipeline as pipeline
    from speech_to_speech.backend_registry import LLM_BACKENDS, STT_BACKENDS, TTS_BACKENDS, BackendSelection

    port, models, slots = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    tables = {"stt": (STT_BACKENDS, "openai"), "llm": (LLM_BACKENDS, "chat-completions"), "tts": (TTS_BACKENDS, "openai")}
    settings = {
        "stt": {"openai_stt_base_url": models, "openai_stt_model": "ear"},
        "llm": {"model_name": "mind", "responses_api_base_url": models, "responses_api_api_key": "none"},
        "tts": {"openai_tts_base_url": models, "openai_tts_model": "mouth", "openai_tts_api_key": "none"},
    }

    def backend(kind):
        registry, name = tables[kind]
        spec = registry[name]
        return BackendSelection(spec, spec.normalize(spec.config_type(**settings[kind])))

    pipeline._run_parsed_pipeline_command(
        "serve",
        pipeline.ParsedArguments(
            module_kwargs=pipeline.ModuleArguments(
                stt="openai", llm_backend="chat-completions", tts="openai", num_pipelines=slots, enable_live_transcription=False
            ),
            realtime_server_kwargs=pipeline.RealtimeServerArguments(host="127.0.0.1", port=port),
            local_audio_kwargs=pipeline.LocalAudioArguments(),
            vad_handler_kwargs=pipeline.VADHandlerArguments(smart_turn=False),
            stt_backend=backend("stt"),
            llm_backend=backend("llm"),
            tts_backend=backend("tts"),
        ),
    )


if __name__ == "__main__":
    main()
