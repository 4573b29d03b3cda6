"""A stand-in for atendai/evolution-audio-converter: the same HTTP contract over the real ffmpeg.

What it answers was observed on the original (commit 3feb0c7 of EvolutionAPI/evolution-audio-converter). Left out is what Evolution API
never uses: transcription, storage in S3 and answers to browsers (CORS). Better than the original: uploads and results go through files
instead of memory, the number of simultaneous conversions is bounded, ffmpeg ends when the client goes away, a URL has a time limit, and
the key is never logged.
"""
