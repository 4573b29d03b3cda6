"""Evolution API 2.2.3 as this application uses it: typed calls, and its errors in words."""

from src.evolution.client import EvolutionClient
from src.evolution.errors import (
    AnswerLostError,
    ConversionFailedError,
    ConverterRefusedKeyError,
    ConverterUnavailableError,
    EvolutionError,
    EvolutionFailedError,
    EvolutionUnreachableError,
    InstanceNotConnectedError,
    InstanceUnknownError,
    KeyRefusedError,
    MediaUnavailableError,
    NameTakenError,
    NumberNotOnWhatsAppError,
    Outcome,
    RefusedError,
    UnexpectedAnswerError,
    slow,
)

__all__ = [
    "AnswerLostError",
    "ConversionFailedError",
    "ConverterRefusedKeyError",
    "ConverterUnavailableError",
    "EvolutionClient",
    "EvolutionError",
    "EvolutionFailedError",
    "EvolutionUnreachableError",
    "InstanceNotConnectedError",
    "InstanceUnknownError",
    "KeyRefusedError",
    "MediaUnavailableError",
    "NameTakenError",
    "NumberNotOnWhatsAppError",
    "Outcome",
    "RefusedError",
    "UnexpectedAnswerError",
    "slow",
]
