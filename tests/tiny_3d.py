"""A tiny pipeline of shapes."""

from pathlib import Path

from tiny_parts import clip_config, clip_tokenizer, saved, seeded, silently


def shap_e(folder: Path) -> Path:
    """Predicts the clean state."""
    from diffusers import HeunDiscreteScheduler, PriorTransformer, ShapEPipeline
    from diffusers.pipelines.shap_e import ShapERenderer
    from transformers import CLIPTextModelWithProjection

    renderer = seeded(
        ShapERenderer,
        param_shapes=((4, 93), (4, 4), (4, 4), (4, 4)),
        d_latent=8,
        d_hidden=4,
        n_output=12,
        n_hidden_layers=5,
        insert_direction_at=3,
        background=(0.1, 0.1, 0.1),
    )
    return saved(
        folder,
        ShapEPipeline,
        prior=seeded(
            PriorTransformer,
            num_attention_heads=2,
            attention_head_dim=8,
            embedding_dim=8,
            num_embeddings=16,
            embedding_proj_dim=16,
            time_embed_dim=16,
            num_layers=1,
            clip_embed_dim=16,
            additional_embeddings=0,
            time_embed_act_fn="gelu",
            norm_in_type="layer",
            encoder_hid_proj_type=None,
            added_emb_type=None,
        ),
        text_encoder=seeded(CLIPTextModelWithProjection, clip_config()),
        tokenizer=clip_tokenizer(),
        scheduler=silently(
            HeunDiscreteScheduler,
            beta_schedule="exp",
            num_train_timesteps=1024,
            prediction_type="sample",
            use_karras_sigmas=True,
            clip_sample=True,
            clip_sample_range=1.0,
        ),
        shap_e_renderer=renderer,
    )
