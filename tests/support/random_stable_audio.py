"""A directory shaped like Stable Audio Open's on the hub, with random weights."""

import json
import warnings
from pathlib import Path

COSINE = {
    "_class_name": "CosineDPMSolverMultistepScheduler", "sigma_min": 0.3, "sigma_max": 500, "sigma_data": 1.0,
    "sigma_schedule": "exponential", "num_train_timesteps": 1000, "solver_order": 2,
    "prediction_type": "v_prediction", "rho": 7.0, "solver_type": "midpoint", "lower_order_final": True,
    "euler_at_final": False, "final_sigmas_type": "zero",
}  # fmt: skip
SIZES = {
    "sample_size": 24, "in_channels": 4, "out_channels": 4, "num_layers": 4, "attention_head_dim": 8,
    "num_attention_heads": 2, "num_key_value_attention_heads": 1, "cross_attention_dim": 8, "time_proj_dim": 8,
    "global_states_input_dim": 24, "cross_attention_input_dim": 12,
}  # fmt: skip
LISTENERS = ("ada", "bo", "slow", "piano")


def random_transformer(seed=0, **sizes):
    """A `StableAudioDiTModel` whose blocks all matter."""
    import torch
    from diffusers import StableAudioDiTModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return StableAudioDiTModel(**SIZES | sizes).eval()


def small_tokenizer():
    from transformers import T5Tokenizer

    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((f"▁{w}", -1.0) for w in LISTENERS)]
    return T5Tokenizer(vocab=words, extra_ids=0, additional_special_tokens=None, model_max_length=6)


def write_random_stable_audio(folder, seed=0, text=True, **sizes):
    """Write all parts (some 10,000 weights) into `folder`: clips of up to 0.24 s, stereo at 800 Hz."""
    import torch
    from diffusers import AutoencoderOobleck
    from diffusers.pipelines.stable_audio import StableAudioProjectionModel
    from transformers import T5Config, T5EncoderModel

    folder = Path(folder)
    parts = {"transformer": random_transformer(seed, **sizes)}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*weight_norm", FutureWarning)
        torch.manual_seed(seed + 1)
        parts["vae"] = AutoencoderOobleck(
            encoder_hidden_size=4, downsampling_ratios=[8], channel_multiples=[1], decoder_channels=4,
            decoder_input_channels=4, audio_channels=2, sampling_rate=800,
        )
        parts["projection_model"] = StableAudioProjectionModel(16, 12, 0, 512)
        if text:
            parts["text_encoder"] = T5EncoderModel(
                T5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
            )
            parts["tokenizer"] = small_tokenizer()
        for name, part in parts.items():
            part.save_pretrained(folder / name)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(COSINE))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableAudioPipeline"}))
    return folder


def loud(control):
    """The same ControlNet, as if it had learned something."""
    import torch

    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for linear in (*control.leave, control.enter):
            linear.weight.copy_(torch.randn(linear.weight.shape, generator=chance))
    return control.eval()
