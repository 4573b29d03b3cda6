// The page's words in the two languages of the project's readers; the browser's own language decides.
const ENGLISH = {
  simulator: "Simulator:", nothingReaches: "nothing here reaches WhatsApp.", simulatedPhone: "Simulated phone",
  keyNeeded: "Enter the global key of the Evolution API simulator (AUTHENTICATION_API_KEY). It stays in this tab until you close it.",
  key: "Global key", open: "Open", wrongKey: "This is not the simulator's global key.", unreachable: "The simulator does not answer.",
  instances: "Instances", forgetKey: "Forget the key", newInstance: "New instance", create: "Create", ownNumber: "The instance's number",
  profileName: "Profile name", pair: "Pair", unpair: "Unpair", chats: "Chats", newContact: "New contact", number: "Number", name: "Name",
  add: "Add", noChats: "Nobody has written yet. Add a contact, or let your application send a message.", behaviour: "How phones behave",
  autoDeliver: "Messages arrive by themselves", autoRead: "Messages are read by themselves", unknownNumbers: "Numbers not on WhatsApp",
  unknownHint: "Separated by commas. Every number that begins with 999 is not on WhatsApp either.", apply: "Apply", faults: "Faults",
  latency: "Delay of each answer (ms)", errorRate: "Share of 500 answers (0 to 1)", dropAnswers: "Share of answers that get lost (0 to 1)",
  duplicateEvents: "Share of doubled events (0 to 1)", reorderEvents: "Share of late events (0 to 1)", converter: "Audio converter",
  converterWorks: "works", converterRefuses: "refuses the key", converterDown: "is down", loseBroker: "Lose the connection to RabbitMQ",
  allOff: "All off", back: "Back to the list", markRead: "Mark as read", messages: "Messages", older: "Older messages",
  sendPicture: "Send a picture or a document", record: "Record a voice note", sendSound: "Send a sound file as a voice note",
  message: "Message", send: "Send", chooseChat: "Choose a chat.", live: "live", notLive: "connecting …", online: "Online", offline: "Offline",
  contactOnline: "This phone is online. Press to take it offline.", contactOffline: "This phone is offline. Press to bring it back.",
  waiting: "This phone is offline: what the application sends waits until it is back.",
  instanceAway: "The instance is not connected: what you write waits until it is back.",
  open_state: "connected", connecting: "connecting", close: "not connected", notPaired: "no phone is paired",
  goOffline: "Cut the connection", goOnline: "Restore the connection", PENDING: "waiting", SERVER_ACK: "sent", DELIVERY_ACK: "delivered",
  READ: "read", PLAYED: "played", ERROR: "failed", held: "waits for the instance", arrived: "arrived", seen: "read by the application",
  deleted: "This message was deleted", edited: "edited", image: "Picture", video: "Video", audio: "Sound", voice: "Voice note",
  document: "Document", sticker: "Sticker", typing: "is typing …", recording: "is recording …", download: "Download", other: "Message",
  noMicrophone: "No microphone here: sent a generated tone instead.", recordingNow: "Recording. Press again to send.", tooLarge: "The file is too large (64 MB at most).",
  saved: "Applied.", faultsOn: "on",
};

const PORTUGUESE = {
  simulator: "Simulador:", nothingReaches: "nada aqui chega ao WhatsApp.", simulatedPhone: "Telefone simulado",
  keyNeeded: "Informe a chave global do simulador da Evolution API (AUTHENTICATION_API_KEY). Ela fica nesta aba até você fechá-la.",
  key: "Chave global", open: "Abrir", wrongKey: "Esta não é a chave global do simulador.", unreachable: "O simulador não responde.",
  instances: "Instâncias", forgetKey: "Esquecer a chave", newInstance: "Nova instância", create: "Criar", ownNumber: "Número da instância",
  profileName: "Nome do perfil", pair: "Parear", unpair: "Desparear", chats: "Conversas", newContact: "Novo contato", number: "Número", name: "Nome",
  add: "Adicionar", noChats: "Ninguém escreveu ainda. Adicione um contato, ou envie uma mensagem pela sua aplicação.", behaviour: "Como os telefones se comportam",
  autoDeliver: "As mensagens chegam sozinhas", autoRead: "As mensagens são lidas sozinhas", unknownNumbers: "Números fora do WhatsApp",
  unknownHint: "Separados por vírgulas. Todo número que começa com 999 também está fora do WhatsApp.", apply: "Aplicar", faults: "Falhas",
  latency: "Atraso de cada resposta (ms)", errorRate: "Parte das respostas que é 500 (0 a 1)", dropAnswers: "Parte das respostas que se perde (0 a 1)",
  duplicateEvents: "Parte dos eventos em dobro (0 a 1)", reorderEvents: "Parte dos eventos atrasados (0 a 1)", converter: "Conversor de áudio",
  converterWorks: "funciona", converterRefuses: "recusa a chave", converterDown: "está fora do ar", loseBroker: "Perder a conexão com o RabbitMQ",
  allOff: "Desligar todas", back: "Voltar à lista", markRead: "Marcar como lida", messages: "Mensagens", older: "Mensagens mais antigas",
  sendPicture: "Enviar uma imagem ou um documento", record: "Gravar uma mensagem de voz", sendSound: "Enviar um arquivo de som como mensagem de voz",
  message: "Mensagem", send: "Enviar", chooseChat: "Escolha uma conversa.", live: "ao vivo", notLive: "conectando …", online: "Online", offline: "Offline",
  contactOnline: "Este telefone está online. Pressione para tirá-lo da rede.", contactOffline: "Este telefone está offline. Pressione para trazê-lo de volta.",
  waiting: "Este telefone está offline: o que a aplicação envia espera até ele voltar.",
  instanceAway: "A instância não está conectada: o que você escreve espera até ela voltar.",
  open_state: "conectada", connecting: "conectando", close: "não conectada", notPaired: "nenhum telefone pareado",
  goOffline: "Cortar a conexão", goOnline: "Restaurar a conexão", PENDING: "esperando", SERVER_ACK: "enviada", DELIVERY_ACK: "entregue",
  READ: "lida", PLAYED: "ouvida", ERROR: "falhou", held: "espera pela instância", arrived: "chegou", seen: "lida pela aplicação",
  deleted: "Esta mensagem foi apagada", edited: "editada", image: "Imagem", video: "Vídeo", audio: "Som", voice: "Mensagem de voz",
  document: "Documento", sticker: "Figurinha", typing: "está digitando …", recording: "está gravando …", download: "Baixar", other: "Mensagem",
  noMicrophone: "Sem microfone aqui: foi enviado um som gerado.", recordingNow: "Gravando. Pressione de novo para enviar.", tooLarge: "O arquivo é grande demais (64 MB no máximo).",
  saved: "Aplicado.", faultsOn: "ligadas",
};

const isPortuguese = navigator.language.toLowerCase().startsWith("pt");
export const words = isPortuguese ? PORTUGUESE : ENGLISH;
export const locale = isPortuguese ? "pt-BR" : "en";

export function translate() {
  document.documentElement.lang = locale;
  document.title = words.simulatedPhone;
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = words[each.dataset.word];
  for (const each of document.querySelectorAll("[data-word-label]")) {
    each.setAttribute("aria-label", words[each.dataset.wordLabel]);
    each.title = words[each.dataset.wordLabel];
  }
  for (const each of document.querySelectorAll("[data-word-placeholder]")) each.placeholder = words[each.dataset.wordPlaceholder];
}
