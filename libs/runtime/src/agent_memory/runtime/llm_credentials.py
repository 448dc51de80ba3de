"""Which settings go to which provider, in litellm's words. A provider not named here reads variables of its own."""

from agent_memory.runtime.settings import Settings


def is_anthropic(model: str) -> bool:
    """Whether Anthropic itself is asked for the model."""
    return model.startswith(("claude", "anthropic/"))


def credentials(model: str, settings: Settings) -> dict[str, str]:
    """What a call of the model is given beside the request."""
    given: dict[str, str] = {}
    if is_anthropic(model):
        given = {"api_key": settings.anthropic_api_key, "api_base": settings.anthropic_api_base}
    elif model.startswith(("bedrock/", "sagemaker/")):
        given = {
            "aws_access_key_id": settings.aws_access_key_id,
            "aws_secret_access_key": settings.aws_secret_access_key,
            "aws_session_token": settings.aws_session_token,
            "aws_region_name": settings.region_name,
        }
    return {name: value for name, value in given.items() if value}
